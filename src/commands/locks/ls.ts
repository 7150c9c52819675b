import {
  accessFlags,
  BaseCommand,
  formatFlag,
  paint,
  render,
  table,
  tableWidth,
  utcTime,
} from '../../lib/cli/index.js'

export default class LocksLs extends BaseCommand {
  static override summary = 'List the locks in force, oldest first'
  static override examples = ['<%= config.bin %> locks ls', '<%= config.bin %> locks ls --format json']
  static override flags = {format: formatFlag(), ...accessFlags}

  async run(): Promise<void> {
    const {flags} = await this.parse(LocksLs)
    const {lockView, withAuthApi} = await import('../../lib/client/index.js')
    const locks = (await withAuthApi(flags, api => api.listLocks())).map(lockView)
    await render(locks, {
      format: flags.format,
      text: () =>
        locks.length === 0
          ? 'Nothing is locked.'
          : table(
              locks,
              [
                {header: 'ID', value: lock => lock.id},
                {header: 'Locked', value: lock => `${lock.kind} ${lock.name}`},
                {
                  header: 'Until (UTC)',
                  value: ({expires}) => (expires === undefined ? 'unlocked' : utcTime(expires)),
                },
                {header: 'By', value: lock => lock.created_by},
                {header: 'Message', value: lock => lock.message ?? ''},
              ],
              {...tableWidth(), heading: text => paint().bold(text)},
            ),
    })
  }
}
