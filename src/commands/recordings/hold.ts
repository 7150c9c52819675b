import {Args, Flags} from '@oclif/core'
import {accessFlags, BaseCommand} from '../../lib/cli/index.js'

export default class RecordingsHold extends BaseCommand {
  static override summary = 'Put a recording under legal hold'
  static override description =
    `Until it is released nobody can remove the recording, and recording_retention passes over it. A session that still
runs can be held, too. Only administrators may, and users with a role of yours that has the verb update on session.`
  static override examples = [
    '<%= config.bin %> recordings hold 5e1f0d3a-9c1b-4c3e-8a55-0d6a4a1f2b7c --reason "case 2026-17"',
  ]
  static override args = {session: Args.string({description: 'session ID', required: true})}
  static override flags = {
    reason: Flags.string({description: 'why', helpValue: 'TEXT'}),
    ...accessFlags,
  }

  async run(): Promise<void> {
    const {args, flags} = await this.parse(RecordingsHold)
    const {sessionId, withAuthApi} = await import('../../lib/client/index.js')
    const request = {
      sid: sessionId(args.session),
      ...(flags.reason !== undefined && {reason: flags.reason}),
    }
    await withAuthApi(flags, api => api.holdRecording(request))
    this.log(`The recording of session ${request.sid} is held: nobody can remove it`)
  }
}
