import {Args} from '@oclif/core'
import {accessFlags, BaseCommand, formatFlag, render, safe} from '../lib/cli/index.js'

export default class Unlock extends BaseCommand {
  static override summary = 'Take a lock away'
  static override description =
    'The same as `rm lock/ID`. A user whom wrong passwords have locked is let in by `users unlock`.'
  static override examples = [
    '<%= config.bin %> unlock 1f0e8c5e-3d1b-4a53-9d3b-0c1f3c1c6a58',
    '<%= config.bin %> unlock 1f0e8c5e-3d1b-4a53-9d3b-0c1f3c1c6a58 --format json',
  ]
  static override args = {id: Args.string({description: 'ID of the lock, see `locks ls`', required: true})}
  static override flags = {format: formatFlag(), ...accessFlags}

  async run(): Promise<void> {
    const {args, flags} = await this.parse(Unlock)
    const {removed, withAuthApi} = await import('../lib/client/index.js')
    await withAuthApi(flags, api => api.removeLock(args.id))
    const {view, line} = removed('lock', args.id)
    await render(view, {format: flags.format, text: () => safe(line)})
  }
}
