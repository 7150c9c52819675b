import {Args, Flags} from '@oclif/core'
import {BaseCommand, clientFlags} from '../../lib/cli/index.js'

export default class ProxySsh extends BaseCommand {
  static override summary = "Carry a stock ssh client's connection to a host, as its ProxyCommand"
  static override description =
    'Connects standard input and output with the host through the proxy. `sallyport config` prints an ssh_config block that uses it.'
  static override examples = [
    "ssh -o 'ProxyCommand <%= config.bin %> proxy ssh %r@%h:%p' root@db-1",
    '<%= config.bin %> config >> ~/.ssh/config',
  ]
  static override args = {
    target: Args.string({description: 'the host, as login@host:port', required: true}),
  }
  static override flags = {
    ...clientFlags,
    cluster: Flags.string({description: 'cluster of the host', env: 'SALLYPORT_CLUSTER', helpValue: 'NAME'}),
  }

  async run(): Promise<void> {
    const {args, flags} = await this.parse(ProxySsh)
    const {carryConnection, loadIdentity, identityOptions, parseSshTarget} = await import(
      '../../lib/client/index.js'
    )
    const {host, port} = parseSshTarget(args.target, {})
    const identity = await loadIdentity(identityOptions(flags))
    try {
      await carryConnection(
        identity,
        // 22 is what ssh says where nobody named a port.
        {host, port: port === 22 ? undefined : port, cluster: flags.cluster},
        process.stdin,
        process.stdout,
        process.stderr,
      )
    } finally {
      identity.close()
    }
  }
}
