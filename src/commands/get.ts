import {Args} from '@oclif/core'
import type {
  NodeResource,
  Resource,
  RoleRecord,
  RoleResource,
  TrustedClusterResource,
  UserResource,
} from '../lib/auth/index.js'
import {
  accessFlags,
  BaseCommand,
  type Format,
  formatFlag,
  paint,
  render,
  renderAll,
  table,
  tableWidth,
  yamlText,
} from '../lib/cli/index.js'
import {problem} from '../lib/errors/index.js'

export default class Get extends BaseCommand {
  static override summary = 'Show roles, users, registered hosts and trusted clusters'
  static override description =
    'One resource is shown in YAML, several in a table. The YAML can be given back to `sallyport create`.'
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
      description: 'roles, users, nodes or trusted_clusters, or one of them: role/NAME, user/NAME, …',
      required: true,
    }),
  }
  static override flags = {format: formatFlag(), ...accessFlags}

  async run(): Promise<void> {
    const {args, flags} = await this.parse(Get)
    const {labelText, parseResourceName, registeredHosts, withAuthApi} = await import(
      '../lib/client/index.js'
    )
    const {kind, name} = parseResourceName(args.resource, ['role', 'user', 'node', 'trusted_cluster'])
    await withAuthApi(flags, async api => {
      if (kind === 'role' && name !== undefined)
        return showOne((await api.getRole(name)).resource, flags.format)
      if (kind === 'role') return showRoles(await api.listRoles(), flags.format)
      if (kind === 'node' && name !== undefined)
        return showOne((await api.getHost(name)).resource, flags.format)
      if (kind === 'node') return showNodes(registeredHosts(await api.listHosts({})), flags.format, labelText)
      if (kind === 'trusted_cluster') {
        const clusters = await api.listTrustedClusters()
        return name === undefined
          ? showClusters(clusters, flags.format)
          : showOne(oneOf(clusters, kind, name), flags.format)
      }
      const users = (await api.listUsers()).map(userResource)
      return name === undefined
        ? showUsers(users, flags.format)
        : showOne(oneOf(users, kind, name), flags.format)
    })
  }
}

function oneOf<Named extends Resource>(all: Named[], kind: string, name: string): Named {
  const found = all.find(({metadata}) => metadata.name.toLowerCase() === name.toLowerCase())
  if (found) return found
  throw problem('not_found', `there is no ${kind} ${JSON.stringify(name)}`, {
    hint: `see \`sallyport get ${kind}s\``,
  })
}

const userResource = ({
  name,
  logins,
  roles,
}: {
  name: string
  logins: string[]
  roles: string[]
}): UserResource => ({
  kind: 'user',
  version: 'v1',
  metadata: {name},
  spec: {logins, roles},
})

async function showOne(resource: Resource, format: Format): Promise<void> {
  const yaml = await yamlText(resource)
  await render(resource, {format, text: () => yaml})
}

const showUsers = (users: UserResource[], format: Format): Promise<void> =>
  renderAll(users, {
    format,
    text: () =>
      table(
        users,
        [
          {header: 'Name', value: ({metadata}) => metadata.name},
          {header: 'Logins', value: ({spec}) => spec.logins.join(', ')},
          {header: 'Roles', value: ({spec}) => spec.roles.join(', ')},
        ],
        {...tableWidth(), heading: text => paint().bold(text)},
      ),
  })

const showClusters = (clusters: TrustedClusterResource[], format: Format): Promise<void> =>
  renderAll(clusters, {
    format,
    text: () =>
      table(
        clusters,
        [
          {header: 'Name', value: ({metadata}) => metadata.name},
          {header: 'Tunnel', value: ({spec}) => spec.tunnel_addr},
          {header: 'Enabled', value: ({spec}) => (spec.enabled === false ? 'no' : 'yes')},
          {
            header: 'Roles',
            value: ({spec}) =>
              spec.role_map.map(({remote, local}) => `${remote} → ${local.join(', ')}`).join('; '),
          },
        ],
        {...tableWidth(), heading: text => paint().bold(text)},
      ),
  })

const showNodes = (
  nodes: NodeResource[],
  format: Format,
  labelText: (labels: Readonly<Record<string, string>>) => string,
): Promise<void> =>
  renderAll(nodes, {
    format,
    text: () =>
      table(
        nodes,
        [
          {header: 'Name', value: ({metadata}) => metadata.name},
          {header: 'Hostname', value: ({spec}) => spec.hostname},
          {header: 'Address', value: ({spec}) => spec.addr},
          {header: 'Labels', value: ({metadata}) => labelText(metadata.labels ?? {})},
        ],
        {...tableWidth(), heading: text => paint().bold(text)},
      ),
  })

const showRoles = (roles: RoleRecord[], format: Format): Promise<void> =>
  renderAll(
    roles.map(({resource}) => resource),
    {
      format,
      text: () =>
        table(
          roles,
          [
            {header: 'Name', value: ({resource}) => resource.metadata.name},
            {header: 'Allows', value: ({resource}) => conditions(resource.spec.allow)},
            {header: 'Denies', value: ({resource}) => conditions(resource.spec.deny)},
            {
              header: 'Description',
              value: ({resource, preset}) =>
                `${preset ? '(preset) ' : ''}${resource.metadata.description ?? ''}`,
            },
          ],
          {...tableWidth(), heading: text => paint().bold(text)},
        ),
    },
  )

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
