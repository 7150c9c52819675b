import {Flags} from '@oclif/core'
import {adminFlags, BaseCommand, formatFlag, render} from '../../lib/cli/index.js'

export default class TokensAdd extends BaseCommand {
  static override summary = 'Make a token with which another machine joins the cluster'
  static override description =
    `The token is good once, and shown once: the cluster keeps only a hash of it. With it come the pins by which
the machine knows the auth service before it says anything to it.`
  static override examples = [
    '<%= config.bin %> tokens add --type=node',
    '<%= config.bin %> tokens add --type=node,proxy --ttl=2h',
    '<%= config.bin %> tokens add --type=proxy --format json',
  ]
  static override flags = {
    type: Flags.string({
      description: 'what the machine may join as: node, proxy or both',
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
    ...adminFlags,
    format: formatFlag(),
  }

  async run(): Promise<void> {
    const {flags} = await this.parse(TokensAdd)
    const {durationSeconds, joinRoles, tokenLines, withAuthApi} = await import('../../lib/client/index.js')
    const roles = joinRoles(flags.type, '--type')
    const request = {
      roles,
      ...(flags.ttl === undefined ? {} : {ttlSeconds: durationSeconds(flags.ttl, '--ttl')}),
      ...(flags.value === undefined ? {} : {value: flags.value}),
    }
    const token = await withAuthApi(flags, api => api.createToken(request))
    await render(
      {...token, expires: new Date(token.expires).toISOString()},
      {format: flags.format, text: () => tokenLines(token, Date.now())},
    )
  }
}
