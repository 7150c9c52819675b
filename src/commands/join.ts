import {Args, Flags} from '@oclif/core'
import {BaseCommand, clientFlags} from '../lib/cli/index.js'

export default class Join extends BaseCommand {
  static override summary = 'Join a session that runs'
  static override description =
    `An observer sees, a moderator may also end the session (t), a peer types into it. The session's user is told who
joins. Ctrl-C leaves, for a peer ~. after Enter. The session keeps its size. Whichever machine of the cluster holds it,
your own proxy leads there; you need no login on it. See also: sessions ls, sessions watch.`
  static override examples = [
    '<%= config.bin %> join 5e1f0d3a-9c1b-4c3e-8a55-0d6a4a1f2b7c',
    '<%= config.bin %> join 5e1f0d3a-9c1b-4c3e-8a55-0d6a4a1f2b7c -m peer',
  ]
  static override args = {session: Args.string({description: 'session ID', required: true})}
  static override flags = {
    mode: Flags.option({
      options: ['observer', 'moderator', 'peer'] as const,
      char: 'm',
      default: 'observer' as const,
      description: 'how to take part',
    })(),
    ...clientFlags,
  }

  async run(): Promise<void> {
    const {args, flags} = await this.parse(Join)
    const {sessionId, withJoinedSession} = await import('../lib/client/index.js')
    await withJoinedSession(flags, {sid: sessionId(args.session), mode: flags.mode})
  }
}
