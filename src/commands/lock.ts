import {Flags} from '@oclif/core'
import {accessFlags, BaseCommand, formatFlag, render} from '../lib/cli/index.js'
import {problem} from '../lib/errors/index.js'

export default class LockCommand extends BaseCommand {
  static override summary = 'Shut out a user, a role, a login or a host'
  static override description =
    `Whoever is locked gets no certificate and begins no session, and sessions that run are ended within two seconds.
A certificate keeps its power until then at hosts that are reached without the proxy.`
  static override examples = [
    '<%= config.bin %> lock --user joe --message "laptop stolen"',
    '<%= config.bin %> lock --login root --ttl 1h',
    '<%= config.bin %> lock --host db1.example.com --message "being rebuilt" --ttl 30m',
  ]
  static override flags = {
    user: Flags.string({description: 'user to lock', helpValue: 'NAME'}),
    role: Flags.string({description: 'everybody who has this role', helpValue: 'NAME'}),
    login: Flags.string({description: 'this account on every host', helpValue: 'NAME'}),
    host: Flags.string({
      description: 'this host, by the name or address it is asked for; --node is the same',
      helpValue: 'HOST',
      aliases: ['node'],
    }),
    message: Flags.string({description: 'why, for those who are shut out', helpValue: 'TEXT'}),
    ttl: Flags.string({description: 'how long (default: until it is taken away)', helpValue: 'DURATION'}),
    format: formatFlag(),
    ...accessFlags,
  }

  async run(): Promise<void> {
    const {flags} = await this.parse(LockCommand)
    const {user, role, login, host} = flags
    const targets = Object.entries({user, role, login, node: host}).filter(([, name]) => name !== undefined)
    const [target] = targets
    if (!target || targets.length > 1)
      throw problem('usage', 'a lock is for one user, role, login or host', {hint: 'as in --user=joe'})
    const {durationSeconds, lockView, withAuthApi} = await import('../lib/client/index.js')
    const request = {
      ...{kind: target[0] as 'user' | 'role' | 'login' | 'node', name: target[1] ?? ''},
      ...(flags.message === undefined ? {} : {message: flags.message}),
      ...(flags.ttl === undefined ? {} : {ttlSeconds: durationSeconds(flags.ttl, '--ttl')}),
    }
    const lock = lockView(await withAuthApi(flags, api => api.createLock(request)))
    const until = lock.expires ?? 'you unlock it'
    await render(lock, {
      format: flags.format,
      text: () => `The ${lock.kind} ${lock.name} is locked until ${until}: sallyport unlock ${lock.id}`,
    })
  }
}
