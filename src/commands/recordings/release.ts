import {Args, Flags} from '@oclif/core'
import {accessFlags, BaseCommand, formatFlag, render} from '../../lib/cli/index.js'

export default class RecordingsRelease extends BaseCommand {
  static override summary = 'Release a recording from legal hold'
  static override description =
    `It can be removed again, and is once it is older than recording_retention. Only administrators may, and users
whose role grants \`update\` on \`session\`.`
  static override examples = [
    '<%= config.bin %> recordings release 5e1f0d3a-9c1b-4c3e-8a55-0d6a4a1f2b7c',
    '<%= config.bin %> recordings release 5e1f0d3a-9c1b-4c3e-8a55-0d6a4a1f2b7c --reason "case 2026-17 is closed"',
  ]
  static override args = {session: Args.string({description: 'session ID', required: true})}
  static override flags = {
    reason: Flags.string({description: 'why', helpValue: 'TEXT'}),
    format: formatFlag(),
    ...accessFlags,
  }

  async run(): Promise<void> {
    const {args, flags} = await this.parse(RecordingsRelease)
    const {sessionId, withAuthApi} = await import('../../lib/client/index.js')
    const request = {
      sid: sessionId(args.session),
      ...(flags.reason !== undefined && {reason: flags.reason}),
    }
    await withAuthApi(flags, api => api.releaseRecording(request))
    const text = () => `The recording of session ${request.sid} is no longer held`
    await render({sid: request.sid, hold: null}, {format: flags.format, text})
  }
}
