import {Args} from '@oclif/core'
import {accessFlags, BaseCommand, formatFlag, render, safe} from '../../lib/cli/index.js'

export default class UsersUnlock extends BaseCommand {
  static override summary = 'Let a user who is locked after too many failures log in again'
  static override examples = [
    '<%= config.bin %> users unlock joe',
    '<%= config.bin %> users unlock joe --proxy=proxy.example.com',
  ]
  static override args = {name: Args.string({description: 'name of the user', required: true})}
  static override flags = {format: formatFlag(), ...accessFlags}

  async run(): Promise<void> {
    const {args, flags} = await this.parse(UsersUnlock)
    const {withAuthApi} = await import('../../lib/client/index.js')
    await withAuthApi(flags, api => api.unlockUser(args.name))
    await render(
      {kind: 'user', name: args.name, outcome: 'unlocked'},
      {format: flags.format, text: () => safe(`User ${args.name} has been unlocked`)},
    )
  }
}
