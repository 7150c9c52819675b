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

export default class TokensLs extends BaseCommand {
  static override summary = 'List the tokens that machines can join with'
  static override description =
    'The tokens themselves are known to those who were given them, and to nobody else.'
  static override examples = ['<%= config.bin %> tokens ls', '<%= config.bin %> tokens ls --format json']
  static override flags = {format: formatFlag(), ...accessFlags}

  async run(): Promise<void> {
    const {flags} = await this.parse(TokensLs)
    const {tokenView, withAuthApi} = await import('../../lib/client/index.js')
    const tokens = (await withAuthApi(flags, api => api.listTokens())).map(tokenView)
    await render(tokens, {
      format: flags.format,
      text: () =>
        tokens.length === 0
          ? 'There are no join tokens. Make one: sallyport tokens add --roles=node'
          : table(
              tokens,
              [
                {header: 'ID', value: token => token.id ?? '-'},
                {header: 'Roles', value: token => token.roles.join(',')},
                {
                  header: 'Good until (UTC)',
                  value: ({expires}) =>
                    expires === undefined ? 'taken out of the configuration' : utcTime(expires),
                },
                {header: 'By', value: token => token.created_by},
              ],
              {...tableWidth(), heading: text => paint().bold(text)},
            ),
    })
  }
}
