import {Flags} from '@oclif/core'
import {BaseCommand} from '../lib/cli/index.js'
import {parseLabels} from '../lib/names/index.js'

export default class Start extends BaseCommand {
  static override summary = 'Run the auth, proxy and node services on this machine'
  static override description =
    `Without a configuration: users, certificates and recordings in one data directory, SSH on port 3023, HTTPS on
port 3080, every session recorded. Where each service listens is printed on stdout and written to
addresses.json in the data directory; logs are JSON on stderr. SIGTERM or Ctrl-C ends sessions and seals
their recordings; a second one ends the process at once. SIGHUP reads the configuration again: the log says what
counts from now on, and what from the next start on; a configuration with errors changes nothing.

A machine that runs without the auth service joins the cluster of another one, with a token that \`nodes add\` or
\`tokens add\` made there. What it gets for it is kept in the data directory; the next start needs no token.`
  static override examples = [
    '<%= config.bin %> start',
    '<%= config.bin %> start --config=/etc/sallyport.yaml',
    '<%= config.bin %> start --roles=auth,proxy --data-dir=/srv/sallyport --listen-ip=127.0.0.1',
    '<%= config.bin %> start --roles=proxy --token=/root/token --ca-pin=sha256:… --auth-server=auth:3025',
  ]
  static override flags = {
    roles: Flags.string({
      char: 'r',
      description: 'services to run, of auth, proxy and node',
      helpValue: 'ROLE,…',
    }),
    config: Flags.string({char: 'c', description: 'configuration file (YAML)', helpValue: 'FILE'}),
    'data-dir': Flags.string({description: 'where state, keys and recordings are kept', helpValue: 'DIR'}),
    nodename: Flags.string({description: 'name of this machine', helpValue: 'NAME'}),
    'listen-ip': Flags.string({description: 'address that every service listens on', helpValue: 'IP'}),
    'advertise-ip': Flags.string({description: 'address that others reach this machine by', helpValue: 'IP'}),
    labels: Flags.string({description: 'fixed labels of the node', helpValue: 'NAME=VALUE,…'}),
    'permit-user-env': Flags.boolean({
      description: 'let users of the node set their environment in ~/.tsh/environment',
      allowNo: true,
    }),
    'diag-addr': Flags.string({description: 'serve /healthz and /readyz there', helpValue: 'HOST:PORT'}),
    'pid-file': Flags.string({description: 'write the process id there', helpValue: 'FILE'}),
    'auth-server': Flags.string({
      description: 'where the auth service is, for roles that run without it',
      helpValue: 'HOST:PORT,…',
    }),
    'proxy-server': Flags.string({
      description: 'tunnel port of the proxy, for a node that others cannot connect to',
      helpValue: 'HOST:PORT,…',
    }),
    token: Flags.string({
      description: 'join the cluster with this token, or with the one in this file',
      env: 'SALLYPORT_TOKEN',
      helpValue: 'TOKEN|FILE',
    }),
    'ca-pin': Flags.string({
      description: 'how to know the auth service when joining; several for a rotation',
      env: 'SALLYPORT_CA_PIN',
      helpValue: 'sha256:…,…',
    }),
    insecure: Flags.boolean({
      description: 'join without a pin, and send the token to whatever answers',
    }),
  }

  async run(): Promise<void> {
    const {flags} = await this.parse(Start)
    const {loadConfig, parseRoles} = await import('../lib/config/index.js')
    const given = {
      roles: flags.roles === undefined ? undefined : parseRoles(flags.roles),
      dataDir: flags['data-dir'],
      nodename: flags.nodename,
      listenIp: flags['listen-ip'],
      advertiseIp: flags['advertise-ip'],
      labels: flags.labels === undefined ? undefined : parseLabels(flags.labels),
      permitUserEnv: flags['permit-user-env'],
      diagAddr: flags['diag-addr'],
      pidFile: flags['pid-file'],
      insecure: flags.insecure,
      debug: flags.debug,
      authServer: flags['auth-server'],
      proxyServer: flags['proxy-server'],
      token: flags.token,
      caPin: flags['ca-pin'],
    }
    const load = () => loadConfig(flags.config, given)
    const {runService} = await import('../lib/service/index.js')
    await runService({
      config: await load(),
      load,
      version: this.config.version,
      announce: line => this.log(line),
    })
    this.exit(0)
  }
}
