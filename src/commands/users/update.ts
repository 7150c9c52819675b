import {Args, Flags} from '@oclif/core'
import {accessFlags, BaseCommand, formatFlag, render} from '../../lib/cli/index.js'
import {problem} from '../../lib/errors/index.js'

export default class UsersUpdate extends BaseCommand {
  static override summary = 'Change the logins or roles of a user'
  static override description =
    'The new list takes the place of the old one. What is taken away counts at once, what is given from the next login on.'
  static override examples = [
    '<%= config.bin %> users update joe --logins=joe,root',
    '<%= config.bin %> users update joe --roles=access,auditor',
  ]
  static override args = {name: Args.string({description: 'name of the user', required: true})}
  static override flags = {
    logins: Flags.string({description: 'accounts on the hosts, separated by commas', helpValue: 'A,B'}),
    roles: Flags.string({description: 'roles, separated by commas', helpValue: 'A,B'}),
    format: formatFlag(),
    ...accessFlags,
  }

  async run(): Promise<void> {
    const {args, flags} = await this.parse(UsersUpdate)
    const {list, userView, withAuthApi} = await import('../../lib/client/index.js')
    if (flags.logins === undefined && flags.roles === undefined)
      throw problem('usage', 'nothing to change', {hint: 'add --logins or --roles'})
    const request = {
      name: args.name,
      ...(flags.logins === undefined ? {} : {logins: list(flags.logins)}),
      ...(flags.roles === undefined ? {} : {roles: list(flags.roles)}),
    }
    const user = await withAuthApi(flags, api => api.updateUser(request))
    await render(userView(user), {
      format: flags.format,
      text: () =>
        `User ${user.name} may log in as ${user.logins.join(', ')}, with the roles ${user.roles.join(', ')}`,
    })
  }
}
