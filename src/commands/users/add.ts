import {Args, Flags} from '@oclif/core'
import {accessFlags, BaseCommand, formatFlag, inviteTtlFlag, render} from '../../lib/cli/index.js'

export default class UsersAdd extends BaseCommand {
  static override summary = 'Create a user, and print the link to sign up with'
  static override description =
    'LOGINS are the accounts on the hosts that the user may log in to; without any, one of the same name.'
  static override examples = [
    '<%= config.bin %> users add joe joe,root,ec2-user',
    '<%= config.bin %> users add ann --logins=ann --roles=access,auditor --ttl=8h --config=sallyport.yaml',
  ]
  static override args = {
    name: Args.string({description: 'name of the user', required: true}),
    logins: Args.string({description: 'accounts on the hosts, separated by commas'}),
  }
  static override flags = {
    logins: Flags.string({description: 'the same as LOGINS', helpValue: 'A,B'}),
    roles: Flags.string({description: 'roles, separated by commas (default access)', helpValue: 'A,B'}),
    ttl: inviteTtlFlag,
    format: formatFlag(),
    ...accessFlags,
  }

  async run(): Promise<void> {
    const {args, flags} = await this.parse(UsersAdd)
    const {durationSeconds, inviteLines, inviteView, list, withAuthApi} = await import(
      '../../lib/client/index.js'
    )
    const logins = [...list(args.logins), ...list(flags.logins)]
    const request = {
      ...{name: args.name, logins: logins.length === 0 ? [args.name] : [...new Set(logins)]},
      ...(flags.roles === undefined ? {} : {roles: list(flags.roles)}),
      ...(flags.ttl === undefined ? {} : {ttlSeconds: durationSeconds(flags.ttl, '--ttl')}),
    }
    const invite = await withAuthApi(flags, api => api.createUser(request))
    const done = `User ${invite.user} has been created and may log in as ${request.logins.join(', ')}`
    await render(inviteView(invite), {
      format: flags.format,
      text: () => inviteLines(done, invite, Date.now()),
    })
  }
}
