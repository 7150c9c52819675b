import {Flags} from '@oclif/core'
import {accessFlags, BaseCommand, formatFlag, render} from '../../lib/cli/index.js'

export default class NodesAdd extends BaseCommand {
  static override summary = 'Print the command by which another machine joins the cluster'
  static override description =
    'The same as `tokens add`, for a node unless --roles says otherwise. Nothing else is printed, for scripts.'
  static override examples = [
    '<%= config.bin %> nodes add',
    '<%= config.bin %> nodes add --ttl=2h --roles=node,proxy',
    'ssh root@db1 "$(<%= config.bin %> nodes add)"',
  ]
  static override flags = {
    roles: Flags.string({
      char: 'r',
      aliases: ['type'],
      description: 'what the machine may join as: node, proxy or both',
      default: 'node',
      helpValue: 'ROLE,…',
    }),
    ttl: Flags.string({
      description: 'how long its token is good for (default 30m, at most 48h)',
      helpValue: 'DURATION',
    }),
    format: formatFlag(),
    ...accessFlags,
  }

  async run(): Promise<void> {
    const {flags} = await this.parse(NodesAdd)
    const {createdTokenView, durationSeconds, joinRoles, startLine, withAuthApi} = await import(
      '../../lib/client/index.js'
    )
    const roles = joinRoles(flags.roles, '--roles')
    const request = {
      roles,
      ...(flags.ttl === undefined ? {} : {ttlSeconds: durationSeconds(flags.ttl, '--ttl')}),
    }
    const token = await withAuthApi(flags, api => api.createToken(request))
    const command = startLine(token, roles)
    await render({...createdTokenView(token), command}, {format: flags.format, text: () => command})
  }
}
