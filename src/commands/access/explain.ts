import {Args, Flags} from '@oclif/core'
import type {AccessExplanation} from '../../lib/auth/index.js'
import {
  accessFlags,
  BaseCommand,
  formatFlag,
  paint,
  render,
  safe,
  table,
  tableWidth,
} from '../../lib/cli/index.js'
import {catalogue, problem} from '../../lib/errors/index.js'

export default class AccessExplain extends BaseCommand {
  static override summary = 'Say whether a user may log in to a host, and why'
  static override description =
    `The answer is the one that the proxy would give to a certificate issued now. Users may ask about themselves; about
others, those whose roles let them read roles. Exit status 15 when access is denied.`
  static override examples = [
    '<%= config.bin %> access explain joe@db1.example.com --login root',
    '<%= config.bin %> access explain joe@db1 --format json',
  ]
  static override args = {
    target: Args.string({description: 'user of the cluster, and host: USER@HOST', required: true}),
  }
  static override flags = {
    login: Flags.string({
      description: "account on the host (default: the user's name)",
      helpValue: 'NAME',
    }),
    format: formatFlag(),
    ...accessFlags,
  }

  async run(): Promise<void> {
    const {args, flags} = await this.parse(AccessExplain)
    const {explanationView, labelText, withAuthApi} = await import('../../lib/client/index.js')
    // A user's name may have an @ in it; a host's has none.
    const at = args.target.lastIndexOf('@')
    const [user, host] = [args.target.slice(0, Math.max(at, 0)), args.target.slice(at + 1)]
    if (user === '' || host === '')
      throw problem('usage', `${JSON.stringify(args.target)} is not a user and a host`, {
        hint: 'as in joe@db1',
      })
    const request = {user, host, login: flags.login ?? user}
    const explanation = await withAuthApi(flags, api => api.explainAccess(request))
    await render(explanationView(explanation), {
      format: flags.format,
      text: () => text(explanation, labelText(explanation.labels ?? {})),
    })
    if (!explanation.decision.allowed) this.exit(catalogue.access_denied)
  }
}

function text(explanation: AccessExplanation, labels: string): string {
  const {user, login, host, hostId, hostname, decision, lock, carriesLogin, roles, missingRoles} = explanation
  const colour = paint()
  const verdict = decision.allowed ? colour.green('allowed') : colour.red('denied')
  const yes = (value: boolean): string => (value ? 'yes' : '-')
  return [
    `${safe(`${user} as ${login} on ${host}`)}: ${verdict}`,
    safe(`  because ${decision.reason}`),
    hostId === undefined
      ? '  it is not in the inventory, so it has no labels'
      : safe(`  it is ${hostname} ${hostId}${labels === '' ? ', without labels' : `, with ${labels}`}`),
    ...(lock ? [safe(`  lock ${lock.id}, by ${lock.createdBy}`)] : []),
    ...(carriesLogin ? [] : [safe(`  ${login} is not among the logins of ${user}`)]),
    ...missingRoles.map(name => safe(`  the role ${name} does not exist`)),
    '',
    table(
      roles,
      [
        {header: 'Role', value: ({role}) => role},
        {header: 'Allows login', value: ({allows}) => yes(allows.login)},
        {header: 'Allows host', value: ({allows}) => yes(allows.host)},
        {header: 'Denies login', value: ({denies}) => yes(denies.login)},
        {header: 'Denies host', value: ({denies}) => yes(denies.host)},
      ],
      {...tableWidth(), heading: line => colour.bold(line)},
    ),
    ...(decision.allowed ? ['', options(decision.options)] : []),
  ].join('\n')
}

const options = (given: object): string =>
  Object.entries(given)
    .map(([name, value]) => safe(`  ${name}: ${typeof value === 'object' ? JSON.stringify(value) : value}`))
    .join('\n')
