import {Args, Flags} from '@oclif/core'
import {BaseCommand, clientFlags} from '../lib/cli/index.js'
import {atDashes} from '../lib/cli/remote-argv.js'

export default class Ssh extends BaseCommand {
  static override summary = 'Log in to a host, or run a command there, through the proxy'
  static override description =
    'Options stand before the host or after it; the first other word after the host begins the command, as with ssh. The exit status is that of the command, or 255 when there is none.'
  static override examples = [
    '<%= config.bin %> ssh root@db-1',
    '<%= config.bin %> ssh -p 2222 root@10.0.0.7 uptime',
    '<%= config.bin %> ssh -t admin@db-1 -- top -c',
    'tar c . | <%= config.bin %> ssh root@db-1 "tar x -C /srv"',
  ]
  static override args = {
    target: Args.string({description: 'the host, as [login@]host[:port]', required: true}),
  }
  static override flags = {
    ...clientFlags,
    login: Flags.string({
      char: 'l',
      description: 'login on the host',
      env: 'SALLYPORT_LOGIN',
      helpValue: 'NAME',
    }),
    port: Flags.integer({char: 'p', description: 'port of the host', helpValue: 'PORT', min: 1, max: 65_535}),
    cluster: Flags.string({description: 'cluster of the host', env: 'SALLYPORT_CLUSTER', helpValue: 'NAME'}),
    'forward-agent': Flags.boolean({char: 'A', description: 'lend the running ssh-agent to the host'}),
    tty: Flags.boolean({char: 't', description: 'ask for a terminal even for a command'}),
    'no-tty': Flags.boolean({char: 'T', description: 'ask for no terminal', exclusive: ['tty']}),
  }

  async run(): Promise<void> {
    const {own, remote} = atDashes(this.argv)
    const {args, flags} = await this.parse(Ssh, own)
    const {connectToTarget, loadIdentity, parseProxyAddress, parseSshTarget, runRemoteSession} = await import(
      '../lib/client/index.js'
    )
    const target = parseSshTarget(args.target, {login: flags.login, port: flags.port})
    const identity = await loadIdentity({
      proxy: flags.proxy === undefined ? undefined : parseProxyAddress(flags.proxy),
      user: flags.user,
      identity: flags.identity,
      insecure: flags.insecure,
      agentSocket: process.env.SSH_AUTH_SOCK || undefined,
    })
    const reached = await connectToTarget({
      ...target,
      identity,
      cluster: flags.cluster,
      insecure: flags.insecure,
    })
    const command = remote.length === 0 ? undefined : remote.join(' ')
    try {
      process.exitCode = await runRemoteSession({
        connection: reached.connection,
        command,
        terminal: flags.tty || (command === undefined && !flags['no-tty'] && process.stdin.isTTY === true),
        forwardAgent: flags['forward-agent'] ? process.env.SSH_AUTH_SOCK || undefined : undefined,
        stdin: process.stdin,
        stdout: process.stdout,
        stderr: process.stderr,
        env: process.env,
      })
    } finally {
      reached.close()
      identity.close()
    }
  }
}
