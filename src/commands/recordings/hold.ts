import {Args, Flags} from '@oclif/core'
import {accessFlags, BaseCommand, formatFlag, render} from '../../lib/cli/index.js'

export default class RecordingsHold extends BaseCommand {
  static override summary = 'Put a recording under legal hold'
  static override description =
    `Until it is released nobody can remove the recording, and recording_retention passes over it. A session that still
runs can be held, too. Only administrators may, and users whose role grants \`update\` on \`session\`.`
  static override examples = [
    '<%= config.bin %> recordings hold 5e1f0d3a-9c1b-4c3e-8a55-0d6a4a1f2b7c',
    '<%= config.bin %> recordings hold 5e1f0d3a-9c1b-4c3e-8a55-0d6a4a1f2b7c --reason "case 2026-17"',
  ]
  static override args = {session: Args.string({description: 'session ID', required: true})}
  static override flags = {
    reason: Flags.string({description: 'why', helpValue: 'TEXT'}),
    format: formatFlag(),
    ...accessFlags,
  }

  async run(): Promise<void> {
    const {args, flags} = await this.parse(RecordingsHold)
    const {holdView, sessionId, withAuthApi} = await import('../../lib/client/index.js')
    const request = {
      sid: sessionId(args.session),
      ...(flags.reason !== undefined && {reason: flags.reason}),
    }
    const {sid, hold} = await withAuthApi(flags, api => api.holdRecording(request))
    await render(
      {sid, hold: hold ? holdView(hold) : null},
      {format: flags.format, text: () => `The recording of session ${sid} is held: nobody can remove it`},
    )
  }
}
