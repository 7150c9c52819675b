import {Args} from '@oclif/core'
import {accessFlags, BaseCommand, formatFlag, render} from '../../lib/cli/index.js'

export default class TokensRm extends BaseCommand {
  static override summary = 'Take a join token back'
  static override description = 'Machines that have joined with it stay: shut one out with `lock --host`.'
  static override examples = [
    '<%= config.bin %> tokens rm 5c0e77a1',
    '<%= config.bin %> tokens rm 5c0e77a1 --format json',
  ]
  static override args = {
    token: Args.string({description: 'ID of the token, or the token itself', required: true}),
  }
  static override flags = {format: formatFlag(), ...accessFlags}

  async run(): Promise<void> {
    const {args, flags} = await this.parse(TokensRm)
    const {withAuthApi} = await import('../../lib/client/index.js')
    await withAuthApi(flags, api => api.removeToken(args.token))
    // What was given may be the token itself, which is printed nowhere.
    await render(
      {kind: 'token', outcome: 'removed'},
      {format: flags.format, text: () => 'The token has been removed'},
    )
  }
}
