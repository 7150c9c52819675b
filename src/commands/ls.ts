import {Flags} from '@oclif/core'
import {
  accessFlags,
  BaseCommand,
  formats,
  hostFilterArg,
  hostFlags,
  paint,
  render,
  safe,
  table,
  tableWidth,
} from '../lib/cli/index.js'

export default class Ls extends BaseCommand {
  static override summary = 'List the hosts that you may reach'
  static override description =
    `The hosts of the inventory on which some login of yours is allowed. A node that was not heard of for ten minutes is
shown as offline, for seven days.`
  static override examples = [
    '<%= config.bin %> ls',
    '<%= config.bin %> ls env=prod,team=db',
    '<%= config.bin %> ls web --format names',
    '<%= config.bin %> ls --search "prod frankfurt" --format json',
    `<%= config.bin %> ls --query 'labels["env"] == "prod" && !hasPrefix(name, "web-")'`,
  ]
  static override args = {filter: hostFilterArg}
  static override flags = {
    ...hostFlags,
    format: Flags.option({
      options: [...formats, 'names'] as const,
      default: 'text' as const,
      description: 'how the answer is written',
    })(),
    ...accessFlags,
  }

  async run(): Promise<void> {
    const {args, flags} = await this.parse(Ls)
    const {findHosts, labelText, withAuthApi} = await import('../lib/client/index.js')
    const {search, query} = flags
    const hosts = await withAuthApi(flags, api => findHosts(api, {filter: args.filter, search, query}))
    if (flags.format === 'names') {
      for (const {hostname} of hosts) this.log(safe(hostname))
      return
    }
    await render(hosts, {
      format: flags.format,
      text: () =>
        hosts.length === 0
          ? 'There is no such host that you may reach.'
          : table(
              hosts,
              [
                {header: 'Host', value: ({hostname}) => hostname},
                {header: 'Address', value: ({address}) => address ?? '(tunnel)'},
                {header: 'Labels', value: ({labels}) => labelText(labels)},
                {header: 'Status', value: ({status}) => status},
              ],
              {...tableWidth(), heading: text => paint().bold(text)},
            ),
    })
  }
}
