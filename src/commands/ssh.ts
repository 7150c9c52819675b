import {Args, Flags} from '@oclif/core'
import {answerAtTerminal, BaseCommand, clientFlags} from '../lib/cli/index.js'
import {atDashes} from '../lib/cli/remote-argv.js'

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
    const {identityOptions, readForwardings, runSsh} = await import('../lib/client/index.js')
    const {login, port, cluster, insecure} = flags
    const {stdin, stdout, stderr, env} = process
    process.exitCode = await runSsh({
      ...{as: identityOptions(flags), target: args.target, login, port, cluster, insecure},
      command: remote.length === 0 ? undefined : remote.join(' '),
      noCommand: flags['no-command'],
      terminal: flags.tty || (flags['no-tty'] ? false : undefined),
      forwardings: readForwardings({
        local: flags['local-forward'],
        remote: flags['remote-forward'],
        dynamic: flags['dynamic-forward'],
      }),
      forwardAgent: flags['forward-agent'],
      answer: answerAtTerminal,
      ...{stdin, stdout, stderr, env},
    })
  }
}
