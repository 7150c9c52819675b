import {Args} from '@oclif/core'
import type {RemoteAuthApi, RoleResource} from '../lib/auth/index.js'
import {
  accessFlags,
  BaseCommand,
  type Column,
  type Format,
  formatFlag,
  paint,
  render,
  renderAll,
  table,
  tableWidth,
  utcTime,
  yamlText,
} from '../lib/cli/index.js'
import {problem} from '../lib/errors/index.js'

export default class Get extends BaseCommand {
  static override summary = 'Show roles, users, registered hosts, locks and clusters'
  static override description =
    `One of them is shown in YAML, several in a table. The YAML of roles, users, hosts and trusted clusters can be given back
to \`sallyport create\`.`
  static override examples = [
    '<%= config.bin %> get roles',
    '<%= config.bin %> get role/access',
    '<%= config.bin %> get users/joe --format yaml',
    '<%= config.bin %> get nodes --format yaml',
    '<%= config.bin %> get node/db-1.example.com',
    '<%= config.bin %> get trusted_clusters',
  ]
  static override args = {
    resource: Args.string({
      description:
        'roles, users, nodes, locks, trusted_clusters or remote_clusters, or one of them: role/NAME, lock/ID, …',
      required: true,
    }),
  }
  static override flags = {format: formatFlag(), ...accessFlags}

  async run(): Promise<void> {
    const {args, flags} = await this.parse(Get)
    const client = await import('../lib/client/index.js')
    const {kind, name} = client.parseResourceName(args.resource, [
      'role',
      'user',
      'node',
      'lock',
      'trusted_cluster',
      'remote_cluster',
    ])
    await client.withAuthApi(flags, api => kinds(client)[kind](api, name, flags.format))
  }
}

/** A kind of things, and how they are shown. */
interface Kind<Item> {
  /** As it is asked for. */
  kind: string
  list(api: RemoteAuthApi): Promise<Item[]>
  /** Absent: one is looked for in the list. */
  one?(api: RemoteAuthApi, name: string): Promise<Item>
  /** What is printed for programs, and of one for everybody. */
  view(item: Item): unknown
  columns: readonly [Column<Item>, ...Column<Item>[]]
}

const kinds = (client: typeof import('../lib/client/index.js')) => ({
  role: showing({
    kind: 'role',
    list: api => api.listRoles(),
    one: (api, name) => api.getRole(name),
    view: ({resource}) => resource,
    columns: [
      {header: 'Name', value: ({resource}) => resource.metadata.name},
      {header: 'Allows', value: ({resource}) => conditions(resource.spec.allow)},
      {header: 'Denies', value: ({resource}) => conditions(resource.spec.deny)},
      {
        header: 'Description',
        value: ({resource, preset}) => `${preset ? '(preset) ' : ''}${resource.metadata.description ?? ''}`,
      },
    ],
  }),
  user: showing({
    kind: 'user',
    list: api => api.listUsers(),
    view: ({name, logins, roles}) => ({kind: 'user', version: 'v1', metadata: {name}, spec: {logins, roles}}),
    columns: [
      {header: 'Name', value: ({name}) => name},
      {header: 'Logins', value: ({logins}) => logins.join(', ')},
      {header: 'Roles', value: ({roles}) => roles.join(', ')},
    ],
  }),
  node: showing({
    kind: 'node',
    list: async api => client.registeredHosts(await api.listHosts({})),
    one: async (api, name) => (await api.getHost(name)).resource,
    view: resource => resource,
    columns: [
      {header: 'Name', value: ({metadata}) => metadata.name},
      {header: 'Hostname', value: ({spec}) => spec.hostname},
      {header: 'Address', value: ({spec}) => spec.addr},
      {header: 'Labels', value: ({metadata}) => client.labelText(metadata.labels ?? {})},
    ],
  }),
  lock: showing({
    kind: 'lock',
    list: async api => (await api.listLocks()).map(client.lockView),
    view: lock => lock,
    columns: [
      {header: 'ID', value: ({id}) => id},
      {header: 'Locked', value: ({kind, name}) => `${kind} ${name}`},
      {header: 'Until (UTC)', value: ({expires}) => (expires === undefined ? 'unlocked' : utcTime(expires))},
    ],
  }),
  trusted_cluster: showing({
    kind: 'trusted_cluster',
    list: api => api.listTrustedClusters(),
    view: resource => resource,
    columns: [
      {header: 'Name', value: ({metadata}) => metadata.name},
      {header: 'Tunnel', value: ({spec}) => spec.tunnel_addr},
      {header: 'Enabled', value: ({spec}) => (spec.enabled === false ? 'no' : 'yes')},
      {
        header: 'Roles',
        value: ({spec}) =>
          spec.role_map.map(({remote, local}) => `${remote} → ${local.join(', ')}`).join('; '),
      },
    ],
  }),
  remote_cluster: showing({
    kind: 'remote_cluster',
    list: async api => (await api.listRemoteClusters()).map(client.remoteClusterView),
    view: cluster => cluster,
    columns: [
      {header: 'Name', value: ({name}) => name},
      {header: 'Joined (UTC)', value: ({joined}) => utcTime(joined)},
    ],
  }),
})

/** Shows one by its name, or all of them. The first column is what they are known by. */
function showing<Item>({kind, list, one, view, columns}: Kind<Item>) {
  const find = async (api: RemoteAuthApi, name: string): Promise<Item> => {
    const [{value}] = columns
    const found = (await list(api)).find(item => value(item).toLowerCase() === name.toLowerCase())
    if (found !== undefined) return found
    throw problem('not_found', `there is no ${kind} ${JSON.stringify(name)}`, {
      hint: `see \`sallyport get ${kind}s\``,
    })
  }
  return async (api: RemoteAuthApi, name: string | undefined, format: Format): Promise<void> => {
    if (name !== undefined) {
      const shown = view(await (one ?? find)(api, name))
      const yaml = await yamlText(shown)
      return await render(shown, {format, text: () => yaml})
    }
    const items = await list(api)
    const options = {...tableWidth(), heading: (line: string) => paint().bold(line)}
    await renderAll(items.map(view), {format, text: () => table(items, columns, options)})
  }
}

/** `root, joe on env=prod; session:list,read` */
function conditions({
  logins = [],
  node_labels: labels = {},
  rules = [],
}: RoleResource['spec']['allow'] = {}): string {
  const hosts = Object.entries(labels).map(([label, values]) => `${label}=${[values].flat().join('|')}`)
  return [
    [logins.join(', '), hosts.length === 0 ? '' : `on ${hosts.join(' ')}`]
      .filter(part => part !== '')
      .join(' '),
    ...rules.map(({resources, verbs}) => `${resources.join(',')}:${verbs.join(',')}`),
  ]
    .filter(part => part !== '')
    .join('; ')
}
