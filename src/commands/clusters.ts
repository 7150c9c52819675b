import {BaseCommand, clientFlags, formatFlag, paint, renderAll, table, tableWidth} from '../lib/cli/index.js'

export default class Clusters extends BaseCommand {
  static override summary = 'List the clusters whose hosts can be reached through the proxy'
  static override description =
    'The first is the cluster of the proxy itself; the others let its users in. One that is offline keeps no tunnel open.'
  static override hiddenAliases = ['clusters:ls']
  static override examples = [
    '<%= config.bin %> clusters',
    '<%= config.bin %> ssh --cluster leaf.example.com root@db-1',
  ]
  static override flags = {format: formatFlag(), ...clientFlags}

  async run(): Promise<void> {
    const {flags} = await this.parse(Clusters)
    const {connectToProxy, identityOptions, listClusters, loadIdentity} = await import(
      '../lib/client/index.js'
    )
    const identity = await loadIdentity(identityOptions(flags))
    try {
      const proxy = await connectToProxy(identity)
      const found = await listClusters(proxy).finally(() => proxy.disconnect())
      const rows = found.map(({name, status}) => ({name, status}))
      await renderAll(rows, {format: flags.format, text: () => text(rows)})
    } finally {
      identity.close()
    }
  }
}

function text(rows: {name: string; status: string}[]): string {
  const colour = paint()
  return table(
    rows,
    [
      {header: 'Cluster', value: ({name}) => name},
      {
        header: 'Status',
        value: ({status}) => status,
        paint: (cell, {status}) => (status === 'offline' ? colour.yellow(cell) : cell),
      },
    ],
    {...tableWidth(), heading: line => colour.bold(line)},
  )
}
