import {Args} from '@oclif/core'
import {accessFlags, BaseCommand, formatFlag, render, safe} from '../../lib/cli/index.js'

export default class UsersRm extends BaseCommand {
  static override summary = 'Remove a user'
  static override description =
    'Nothing new is issued to the user. Certificates already issued run out by themselves.'
  static override examples = [
    '<%= config.bin %> users rm joe',
    '<%= config.bin %> users rm joe --proxy=proxy.example.com',
  ]
  static override args = {name: Args.string({description: 'name of the user', required: true})}
  static override flags = {format: formatFlag(), ...accessFlags}

  async run(): Promise<void> {
    const {args, flags} = await this.parse(UsersRm)
    const {removed, withAuthApi} = await import('../../lib/client/index.js')
    await withAuthApi(flags, api => api.removeUser(args.name))
    const {view, line} = removed('user', args.name)
    await render(view, {format: flags.format, text: () => safe(line)})
  }
}
