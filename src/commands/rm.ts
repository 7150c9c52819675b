import {Args, Flags} from '@oclif/core'
import {accessFlags, BaseCommand, formatFlag, render, safe} from '../lib/cli/index.js'
import {problem} from '../lib/errors/index.js'

export default class Rm extends BaseCommand {
  static override summary = 'Remove a role, a user, a lock or a host of the inventory'
  static override description =
    `A role that users still have is removed with --force only; they then have one role less, at once. A node of ours that
still runs is back in the inventory with its next heartbeat. A trusted_cluster is one whose users this one lets in, a
remote_cluster one that lets users of this one in.`
  static override examples = [
    '<%= config.bin %> rm role/developers',
    '<%= config.bin %> rm node/db-1.example.com',
    '<%= config.bin %> rm trusted_cluster/root.example.com',
    '<%= config.bin %> rm lock/1f0e8c5e-3d1b-4a53-9d3b-0c1f3c1c6a58',
  ]
  static override args = {
    resource: Args.string({
      description: 'role/NAME, user/NAME, node/NAME, lock/ID, trusted_cluster/NAME or remote_cluster/NAME',
      required: true,
    }),
  }
  static override flags = {
    force: Flags.boolean({description: 'also a role that users have'}),
    format: formatFlag(),
    ...accessFlags,
  }

  async run(): Promise<void> {
    const {args, flags} = await this.parse(Rm)
    const {parseResourceName, removed, withAuthApi} = await import('../lib/client/index.js')
    const {kind, name} = parseResourceName(args.resource, [
      'role',
      'user',
      'lock',
      'node',
      'trusted_cluster',
      'remote_cluster',
    ])
    if (name === undefined)
      throw problem('usage', `which ${kind} is to be removed?`, {
        hint: `as in ${kind}/${kind === 'lock' ? 'ID' : 'NAME'}`,
      })
    await withAuthApi(flags, api => {
      if (kind === 'user') return api.removeUser(name)
      if (kind === 'lock') return api.removeLock(name)
      if (kind === 'node') return api.removeHost(name)
      if (kind === 'trusted_cluster') return api.removeTrustedCluster(name)
      if (kind === 'remote_cluster') return api.removeRemoteCluster(name)
      return api.removeRole({name, ...(flags.force && {force: true})})
    })
    const {view, line} = removed(kind, name)
    await render(view, {format: flags.format, text: () => safe(line)})
  }
}
