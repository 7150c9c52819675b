import {Flags} from '@oclif/core'
import type {AuthApi} from '../../lib/auth/contract.js'
import {
  adminFlags,
  BaseCommand,
  clientFlags,
  formatFlag,
  paint,
  render,
  table,
  tableWidth,
  timeFlags,
} from '../../lib/cli/index.js'

type AuditQuery = Parameters<AuthApi['listEvents']>[0]
type AuditEvent = Awaited<ReturnType<AuthApi['listEvents']>>[number]

export default class AuditLs extends BaseCommand {
  static override summary = 'List what happened, newest first'
  static override description =
    'Only events that you may see: your own, or all of them as an auditor or administrator.'
  static override examples = [
    '<%= config.bin %> audit ls --last 24h',
    '<%= config.bin %> audit ls --event session.start --event session.end --user joe --format json',
  ]
  static override flags = {
    format: formatFlag(),
    event: Flags.string({description: 'only this event; may be repeated', multiple: true, helpValue: 'NAME'}),
    user: Flags.string({description: 'only events of this user', helpValue: 'NAME'}),
    sid: Flags.string({description: 'only events of this session', helpValue: 'ID'}),
    ...timeFlags,
    limit: Flags.integer({
      description: 'at most this many',
      default: 200,
      min: 1,
      max: 10_000,
      helpValue: 'N',
    }),
    proxy: clientFlags.proxy,
    identity: clientFlags.identity,
    insecure: clientFlags.insecure,
    ...adminFlags,
  }

  async run(): Promise<void> {
    const {flags} = await this.parse(AuditLs)
    const {timeRange, withHistoryApi} = await import('../../lib/client/index.js')
    const {event, user, sid, limit} = flags
    const query: AuditQuery = {
      limit,
      // An unknown name matches nothing; which names there are is the service's to know.
      ...(event && {event: event as NonNullable<AuditQuery['event']>}),
      ...(user !== undefined && {user}),
      ...(sid !== undefined && {sid}),
      ...timeRange(flags, Date.now()),
    }
    const found = await withHistoryApi(flags, api => api.listEvents(query))
    await render(found, {format: flags.format, text: () => text(found)})
  }
}

function text(found: AuditEvent[]): string {
  if (found.length === 0) return 'There are no such events that you may see.'
  const colour = paint()
  return table(
    found,
    [
      {header: 'Time (UTC)', value: event => event.time.slice(0, 19).replace('T', ' ')},
      {header: 'Code', value: event => event.code},
      {
        header: 'Event',
        value: event => event.event,
        paint: (cell, event) => (event.success ? cell : colour.red(cell)),
      },
      {header: 'User', value: event => event.user ?? ''},
      {header: 'Details', value: details},
    ],
    {...tableWidth(), heading: line => colour.bold(line)},
  )
}

const shown = ['error', 'command', 'reason', 'login', 'server_hostname', 'addr.remote', 'sid'] as const

/** What tells one event of a kind from another, most telling first. */
const details = (event: AuditEvent): string =>
  shown.flatMap(key => (typeof event[key] === 'string' ? [`${key}=${event[key]}`] : [])).join(' ')
