import {Flags} from '@oclif/core'
import {accessFlags, BaseCommand, formatFlag, render} from '../../lib/cli/index.js'

export default class TokensAdd extends BaseCommand {
  static override summary = 'Make a token with which another machine or cluster joins this one'
  static override description =
    `The token is good once, and shown once: the cluster keeps only a hash of it. With it come the pins by which
the machine knows the auth service before it says anything to it. With a token for a trusted_cluster another cluster
comes to let users of this one in.`
  static override examples = [
    '<%= config.bin %> tokens add --roles=node',
    '<%= config.bin %> tokens add --roles=node,proxy --ttl=2h',
    '<%= config.bin %> tokens add --roles=openssh',
    '<%= config.bin %> tokens add --roles=proxy --format json',
    '<%= config.bin %> tokens add --roles=trusted_cluster',
  ]
  static override flags = {
    roles: Flags.string({
      char: 'r',
      aliases: ['type'],
      description:
        'what the machine may join as: node, proxy or both, or openssh; or trusted_cluster; --type is the same',
      required: true,
      helpValue: 'ROLE,…',
    }),
    ttl: Flags.string({
      description: 'how long the token is good for (default 30m, at most 48h)',
      helpValue: 'DURATION',
    }),
    value: Flags.string({
      description: 'a token of your own, at least 16 characters (default: a random one)',
      helpValue: 'TOKEN',
    }),
    format: formatFlag(),
    ...accessFlags,
  }

  async run(): Promise<void> {
    const {flags} = await this.parse(TokensAdd)
    const {createdTokenView, durationSeconds, tokenLines, tokenRoles, withAuthApi} = await import(
      '../../lib/client/index.js'
    )
    const roles = tokenRoles(flags.roles, '--roles')
    const request = {
      roles,
      ...(flags.ttl === undefined ? {} : {ttlSeconds: durationSeconds(flags.ttl, '--ttl')}),
      ...(flags.value === undefined ? {} : {value: flags.value}),
    }
    const token = await withAuthApi(flags, api => api.createToken(request))
    await render(createdTokenView(token), {
      format: flags.format,
      text: () => tokenLines(token, Date.now()),
    })
  }
}
