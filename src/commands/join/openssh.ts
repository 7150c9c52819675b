import {Flags} from '@oclif/core'
import {adminFlags, BaseCommand, formatFlag, render, safe} from '../../lib/cli/index.js'
import {problem} from '../../lib/errors/index.js'
import {parseLabels} from '../../lib/names/index.js'

export default class JoinOpenssh extends BaseCommand {
  static override summary = 'Enrol the sshd of this machine'
  static override description =
    `To be run as root on the host. Has the cluster certify the host's key for its names, tells sshd about the certificate and
about the authority that lets users in, has it read that, and shakes hands with it to see that it is so. The host is then in
the inventory with its labels. What worked before goes on working: sshd keeps its own keys, and is left as it was when it does
not accept the new lines. Run it again, with a new token, to renew the certificate or to change names and labels.

\`sallyport tokens add --roles=openssh\` prints the token and what goes with it. Without --token it is the administrator of a
service on this machine who enrols.`
  static override examples = [
    '<%= config.bin %> join openssh --token=TOKEN --ca-pin=sha256:… --auth-server=auth.example.com:3025 --labels=env=prod,team=db',
    '<%= config.bin %> join openssh --dry-run',
  ]
  static override flags = {
    token: Flags.string({
      description: 'join token for openssh',
      env: 'SALLYPORT_TOKEN',
      helpValue: 'TOKEN',
      dependsOn: ['auth-server'],
    }),
    'auth-server': Flags.string({description: 'address of the auth service', helpValue: 'HOST:PORT'}),
    'ca-pin': Flags.string({
      description: 'pin of the auth service; several are separated by commas',
      helpValue: 'sha256:…',
    }),
    insecure: Flags.boolean({description: 'believe whatever answers as the auth service'}),
    nodename: Flags.string({
      description: 'name by which users reach the host (default: its host name)',
      helpValue: 'NAME',
    }),
    names: Flags.string({
      description: 'more names and addresses that users ask for it by, separated by commas',
      helpValue: 'A,B',
    }),
    addr: Flags.string({
      description: 'where the proxy reaches its sshd (default: the address that this command calls from)',
      helpValue: 'HOST:PORT',
    }),
    labels: Flags.string({description: 'labels of the host', helpValue: 'NAME=VALUE,…'}),
    'sshd-config': Flags.string({
      description: "sshd's configuration",
      default: '/etc/ssh/sshd_config',
      helpValue: 'FILE',
    }),
    'dry-run': Flags.boolean({description: 'say what would be done, and do nothing'}),
    ...adminFlags,
    format: formatFlag(),
  }

  async run(): Promise<void> {
    const {flags} = await this.parse(JoinOpenssh)
    const {hostname} = await import('node:os')
    const {resolve} = await import('node:path')
    const {enrolHost, enrolPathsView, enrolWithToken, list, planEnrolment, withAdminApi} = await import(
      '../../lib/client/index.js'
    )
    const {token, 'auth-server': server, 'ca-pin': pins = '', insecure} = flags
    if (token === undefined && flags.addr === undefined && !flags['dry-run'])
      throw problem('usage', 'without a token nobody sees where this host is', {
        hint: 'say with --addr=HOST:PORT where the proxy reaches its sshd',
      })
    const options = {
      ...{config: resolve(flags['sshd-config']), token, address: flags.addr, now: Date.now},
      hostname: flags.nodename ?? hostname(),
      names: list(flags.names),
      labels: flags.labels === undefined ? {} : parseLabels(flags.labels),
      enrol: (request: Parameters<typeof enrolWithToken>[0]) =>
        token === undefined
          ? withAdminApi(flags, api => api.enrolHost(request))
          : enrolWithToken(request, {server: server ?? '', pins, insecure}),
    }
    if (flags['dry-run']) {
      const {paths, dropIn, request} = await planEnrolment(options)
      const {publicKey: _key, signature: _signature, token: _token, ...wish} = request
      await render(
        {paths: enrolPathsView(paths), drop_in: dropIn, request: wish},
        {format: flags.format, text: () => `${safe(paths.dropIn)} would be:\n\n${dropIn}`},
      )
      return
    }
    const {enrolment, paths} = await enrolHost(options)
    const {id, hostname: name, address, principals} = enrolment
    await render(
      {id, hostname: name, address, principals, files: enrolPathsView(paths)},
      {
        format: flags.format,
        text: () =>
          safe(
            `${name} is enrolled as ${id}, at ${address}. Users reach it with: sallyport ssh LOGIN@${name}`,
          ),
      },
    )
  }
}
