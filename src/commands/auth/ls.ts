import {accessFlags, BaseCommand, formatFlag, paint, render, table} from '../../lib/cli/index.js'

export default class AuthLs extends BaseCommand {
  static override summary = 'List the authorities with the fingerprints of their keys'
  static override examples = ['<%= config.bin %> auth ls', '<%= config.bin %> auth ls --format json']
  static override flags = {format: formatFlag(), ...accessFlags}

  async run(): Promise<void> {
    const {flags} = await this.parse(AuthLs)
    const {authorityView, withAuthApi} = await import('../../lib/client/index.js')
    const value = (await withAuthApi(flags, api => api.listAuthorities())).map(authorityView)
    await render(value, {
      format: flags.format,
      text: () =>
        table(
          value,
          [
            {header: 'Type', value: authority => authority.type},
            {header: 'Fingerprint', value: authority => authority.fingerprint},
          ],
          {heading: text => paint().bold(text)},
        ),
    })
  }
}
