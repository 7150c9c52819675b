import {
  accessFlags,
  BaseCommand,
  formatFlag,
  hostFilterArg,
  hostFlags,
  paint,
  render,
  table,
  tableWidth,
  utcTime,
} from '../../lib/cli/index.js'

export default class NodesLs extends BaseCommand {
  static override summary = 'List the nodes and registered hosts of the cluster'
  static override description =
    'For administrators on the auth host, and users whose roles let them list nodes; others see those that they may reach.'
  static override examples = [
    '<%= config.bin %> nodes ls',
    '<%= config.bin %> nodes ls env=prod --format json',
  ]
  static override args = {filter: hostFilterArg}
  static override flags = {
    ...hostFlags,
    format: formatFlag(),
    ...accessFlags,
  }

  async run(): Promise<void> {
    const {args, flags} = await this.parse(NodesLs)
    const {findHosts, labelText, withAuthApi} = await import('../../lib/client/index.js')
    const {search, query} = flags
    const hosts = await withAuthApi(flags, api => findHosts(api, {filter: args.filter, search, query}))
    await render(hosts, {
      format: flags.format,
      text: () =>
        hosts.length === 0
          ? 'There are no such nodes.'
          : table(
              hosts,
              [
                {header: 'UUID', value: ({id}) => id},
                {header: 'Host', value: ({hostname}) => hostname},
                {header: 'Kind', value: ({kind}) => kind},
                {header: 'Address', value: ({address}) => address ?? '(tunnel)'},
                {header: 'Labels', value: ({labels}) => labelText(labels)},
                {header: 'Status', value: ({status}) => status},
                {
                  header: 'Last seen (UTC)',
                  value: host => (host.last_seen === undefined ? '' : utcTime(host.last_seen)),
                },
              ],
              {...tableWidth(), heading: text => paint().bold(text)},
            ),
    })
  }
}
