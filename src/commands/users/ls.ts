import {
  accessFlags,
  BaseCommand,
  formatFlag,
  paint,
  render,
  table,
  tableWidth,
  utcTime,
} from '../../lib/cli/index.js'

export default class UsersLs extends BaseCommand {
  static override summary = 'List the users'
  static override description =
    'STATE is invited before the first sign-up, active, or locked after too many failures.'
  static override examples = ['<%= config.bin %> users ls', '<%= config.bin %> users ls --format json']
  static override flags = {format: formatFlag(), ...accessFlags}

  async run(): Promise<void> {
    const {flags} = await this.parse(UsersLs)
    const {userView, withAuthApi} = await import('../../lib/client/index.js')
    const colour = paint()
    const value = (await withAuthApi(flags, api => api.listUsers())).map(userView)
    await render(value, {
      format: flags.format,
      text: () =>
        value.length === 0
          ? 'There are no users yet. Create one: sallyport users add NAME LOGINS'
          : table(
              value,
              [
                {header: 'User', value: user => user.name},
                {header: 'Logins', value: user => user.logins.join(', ')},
                {header: 'Roles', value: user => user.roles.join(', ')},
                {
                  header: 'State',
                  value: user =>
                    user.locked_until ? `locked until ${utcTime(user.locked_until)} (UTC)` : user.state,
                  paint: (text, user) => (user.state === 'locked' ? colour.red(text) : text),
                },
              ],
              {...tableWidth(), heading: text => colour.bold(text)},
            ),
    })
  }
}
