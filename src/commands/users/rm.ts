import {Args} from '@oclif/core'
import {accessFlags, BaseCommand, safe} from '../../lib/cli/index.js'

export default class UsersRm extends BaseCommand {
  static override summary = 'Remove a user'
  static override description =
    'Nothing new is issued to the user. Certificates already issued run out by themselves.'
  static override examples = ['<%= config.bin %> users rm joe']
  static override args = {name: Args.string({description: 'name of the user', required: true})}
  static override flags = {...accessFlags}

  async run(): Promise<void> {
    const {args, flags} = await this.parse(UsersRm)
    const {withAuthApi} = await import('../../lib/client/index.js')
    await withAuthApi(flags, api => api.removeUser(args.name))
    this.log(safe(`User ${args.name} has been removed`))
  }
}
