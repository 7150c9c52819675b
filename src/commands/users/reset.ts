import {Args} from '@oclif/core'
import {accessFlags, BaseCommand, formatFlag, inviteTtlFlag, render} from '../../lib/cli/index.js'

export default class UsersReset extends BaseCommand {
  static override summary = 'Take password and second factor away, and print a new link to sign up with'
  static override description =
    'Also unlocks a user who is locked after too many failures. Certificates already issued keep working.'
  static override examples = [
    '<%= config.bin %> users reset joe',
    '<%= config.bin %> users reset joe --ttl=8h',
  ]
  static override args = {name: Args.string({description: 'name of the user', required: true})}
  static override flags = {
    ttl: inviteTtlFlag,
    format: formatFlag(),
    ...accessFlags,
  }

  async run(): Promise<void> {
    const {args, flags} = await this.parse(UsersReset)
    const {durationSeconds, inviteLines, inviteView, withAuthApi} = await import('../../lib/client/index.js')
    const ttl = flags.ttl === undefined ? {} : {ttlSeconds: durationSeconds(flags.ttl, '--ttl')}
    const invite = await withAuthApi(flags, api => api.resetUser({name: args.name, ...ttl}))
    const done = `User ${invite.user} has been reset`
    await render(inviteView(invite), {
      format: flags.format,
      text: () => inviteLines(done, invite, Date.now()),
    })
  }
}
