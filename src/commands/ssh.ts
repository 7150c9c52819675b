import {Args, Flags} from '@oclif/core'
import {answerAtTerminal, BaseCommand, clientFlags} from '../lib/cli/index.js'
import {atDashes} from '../lib/cli/remote-argv.js'
import {problem} from '../lib/errors/index.js'

export default class Ssh extends BaseCommand {
  static override summary = 'Log in to a host, or run a command there, through the proxy'
  static override description =
    `Options stand before the host or after it; the first other word after the host begins the command, as with ssh. The
exit status is that of the command, or 255 when there is none. Labels in place of a host run the command on every host that
has them, and the exit status is the first that is not 0.`
  static override examples = [
    '<%= config.bin %> ssh root@db-1',
    '<%= config.bin %> ssh -p 2222 root@10.0.0.7 uptime',
    '<%= config.bin %> ssh -t admin@db-1 -- top -c',
    '<%= config.bin %> ssh root@env=prod,team=db uptime',
    '<%= config.bin %> ssh -N -L 8080:localhost:80 root@web-1',
    'tar c . | <%= config.bin %> ssh root@db-1 "tar x -C /srv"',
  ]
  static override args = {
    target: Args.string({
      description:
        'the host, as [login@]host[:port], by name, address or UUID; or labels, as in [login@]env=prod',
      required: true,
    }),
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
    'local-forward': Flags.string({
      char: 'L',
      description: 'listen here, and connect from the host',
      helpValue: '[BIND:]PORT:HOST:PORT',
      multiple: true,
      multipleNonGreedy: true,
      helpGroup: 'FORWARDING',
    }),
    'remote-forward': Flags.string({
      char: 'R',
      description: 'listen on the host, and connect from here',
      helpValue: '[BIND:]PORT:HOST:PORT',
      multiple: true,
      multipleNonGreedy: true,
      helpGroup: 'FORWARDING',
    }),
    'dynamic-forward': Flags.string({
      char: 'D',
      description: 'listen here as a SOCKS 5 proxy, and connect from the host',
      helpValue: '[BIND:]PORT',
      multiple: true,
      multipleNonGreedy: true,
      helpGroup: 'FORWARDING',
    }),
    'no-command': Flags.boolean({
      char: 'N',
      description: 'run nothing: forward until interrupted',
      helpGroup: 'FORWARDING',
    }),
    'no-tty': Flags.boolean({char: 'T', description: 'ask for no terminal', exclusive: ['tty']}),
  }

  async run(): Promise<void> {
    const {own, remote} = atDashes(this.argv)
    const {args, flags} = await this.parse(Ssh, own)
    const {
      connectToTarget,
      hostsWithLabels,
      createChannelRouter,
      loadIdentity,
      openForwardings,
      identityOptions,
      parseLabelTarget,
      parseSshTarget,
      runOnMany,
      readForwardings,
      runRemoteSession,
    } = await import('../lib/client/index.js')
    const forwardings = readForwardings({
      local: flags['local-forward'],
      remote: flags['remote-forward'],
      dynamic: flags['dynamic-forward'],
    })
    const wish = {login: flags.login, port: flags.port}
    const command = remote.length === 0 ? undefined : remote.join(' ')
    const labelled = parseLabelTarget(args.target, wish)
    const found = labelled && (await hostsWithLabels(identityOptions(flags), labelled.labels))
    const [first, second] = found?.hosts ?? []
    if (labelled && found && second) {
      if (
        command === undefined ||
        Object.values(forwardings).some(list => list.length > 0) ||
        flags['no-command'] ||
        flags.tty
      )
        throw problem(
          'usage',
          `${found.hosts.length} hosts have these labels: only a command runs on several`,
          {
            hint: 'name the command, or one host',
          },
        )
      const identity = await loadIdentity(identityOptions(flags))
      const {stdout, stderr, env} = process
      const shared = {identity, command, cluster: flags.cluster, insecure: flags.insecure}
      process.exitCode = await runOnMany({...shared, ...found, login: labelled.login, stdout, stderr, env})
      identity.close()
      return
    }
    const target =
      labelled && first
        ? {login: labelled.login, host: first.id, otherNames: [first.hostname]}
        : parseSshTarget(args.target, wish)
    const identity = await loadIdentity(identityOptions(flags))
    const reached = await connectToTarget({
      ...target,
      identity,
      cluster: flags.cluster,
      insecure: flags.insecure,
      answer: answerAtTerminal,
    })
    const {connection} = reached
    const router = createChannelRouter(connection)
    try {
      const notice = (line: string): void => void process.stderr.write(`${line}\n`)
      const close = await openForwardings(forwardings, {connection, router, notice})
      if (flags['no-command']) {
        const error = await connection.closed
        if (error) throw error
        return
      }
      process.exitCode = await runRemoteSession({
        ...{connection, router, command},
        terminal: flags.tty || (command === undefined && !flags['no-tty'] && process.stdin.isTTY === true),
        forwardAgent: flags['forward-agent'] ? process.env.SSH_AUTH_SOCK || undefined : undefined,
        stdin: process.stdin,
        stdout: process.stdout,
        stderr: process.stderr,
        env: process.env,
      })
      close()
    } finally {
      reached.close()
      identity.close()
    }
  }
}
