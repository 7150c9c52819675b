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
} from '../../lib/cli/index.js'
import {problem} from '../../lib/errors/index.js'

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
    from: Flags.string({description: 'from this time on', helpValue: 'TIME'}),
    to: Flags.string({description: 'before this time', helpValue: 'TIME'}),
    last: Flags.string({description: 'of the last hours or days', helpValue: '24h', exclusive: ['from']}),
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
    const {durationSeconds, withHistoryApi} = await import('../../lib/client/index.js')
    const from = flags.last
      ? new Date(Date.now() - durationSeconds(flags.last, '--last') * 1000)
      : time(flags.from, '--from')
    const to = time(flags.to, '--to')
    const {event, user, sid, limit} = flags
    const query: AuditQuery = {
      limit,
      // An unknown name matches nothing; which names there are is the service's to know.
      ...(event && {event: event as NonNullable<AuditQuery['event']>}),
      ...(user !== undefined && {user}),
      ...(sid !== undefined && {sid}),
      ...(from && {from}),
      ...(to && {to}),
    }
    const found = await withHistoryApi(flags, api => api.listEvents(query))
    await render(found, {format: flags.format, text: () => text(found)})
  }
}

function time(text: string | undefined, flag: string): Date | undefined {
  if (text === undefined) return undefined
  const date = new Date(text)
  if (Number.isNaN(date.getTime()))
    throw problem('usage', `${flag} expects a time, not ${JSON.stringify(text)}`, {
      hint: `as in ${flag}=2025-11-21 or ${flag}=2025-11-21T14:30:00Z`,
    })
  return date
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
