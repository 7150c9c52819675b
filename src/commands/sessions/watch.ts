import {Args} from '@oclif/core'
import {adminFlags, BaseCommand, clientFlags} from '../../lib/cli/index.js'

export default class SessionsWatch extends BaseCommand {
  static override summary = 'Look on at a session that runs'
  static override description =
    `Begins with the screen as it is now, ends with the session; Ctrl-C leaves. Needs no terminal, and no login on the host,
whichever machine of the cluster holds the session. While a session prints more than anybody can read, it is shown as a
picture now and then; everything is in its recording. On the auth host an administrator needs no login for the sessions
that this machine holds, and is named as admin.`
  static override examples = [
    '<%= config.bin %> sessions watch 5e1f0d3a-9c1b-4c3e-8a55-0d6a4a1f2b7c',
    '<%= config.bin %> sessions watch 5e1f0d3a-9c1b-4c3e-8a55-0d6a4a1f2b7c --config=/etc/teleport.yaml',
  ]
  static override args = {session: Args.string({description: 'session ID', required: true})}
  static override flags = {...clientFlags, ...adminFlags}

  async run(): Promise<void> {
    const {args, flags} = await this.parse(SessionsWatch)
    const {sessionId, withWatchedSession} = await import('../../lib/client/index.js')
    await withWatchedSession(flags, sessionId(args.session))
  }
}
