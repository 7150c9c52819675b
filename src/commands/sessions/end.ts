import {Args, Flags} from '@oclif/core'
import {accessFlags, BaseCommand} from '../../lib/cli/index.js'

export default class SessionsEnd extends BaseCommand {
  static override summary = 'End a session that runs'
  static override description =
    `Its user is told who has ended it, and why. For administrators on the auth host, for those who may join the session as
moderator, and for one's own sessions.`
  static override examples = [
    '<%= config.bin %> sessions end 5e1f0d3a-9c1b-4c3e-8a55-0d6a4a1f2b7c',
    '<%= config.bin %> sessions end 5e1f0d3a-9c1b-4c3e-8a55-0d6a4a1f2b7c --reason "the host goes down at noon"',
  ]
  static override args = {session: Args.string({description: 'session ID', required: true})}
  static override flags = {
    reason: Flags.string({description: 'why, for its user', helpValue: 'TEXT'}),
    ...accessFlags,
  }

  async run(): Promise<void> {
    const {args, flags} = await this.parse(SessionsEnd)
    const {sessionId, withAuthApi} = await import('../../lib/client/index.js')
    const {reason} = flags
    const request = {sid: sessionId(args.session), ...(reason !== undefined && {reason})}
    await withAuthApi(flags, api => api.endSession(request))
    this.log(`Session ${request.sid} has been told to end`)
  }
}
