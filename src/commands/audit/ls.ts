import {setTimeout as delay} from 'node:timers/promises'
import {Flags} from '@oclif/core'
import type {AuthApi} from '../../lib/auth/contract.js'
import {
  accessFlags,
  BaseCommand,
  eventFlags,
  formatFlag,
  jsonLine,
  paint,
  render,
  safe,
  table,
  tableWidth,
} from '../../lib/cli/index.js'
import {problem} from '../../lib/errors/index.js'

type AuditEvent = Awaited<ReturnType<AuthApi['listEvents']>>[number]

export default class AuditLs extends BaseCommand {
  static override summary = 'List what happened, newest first'
  static override description =
    `Only events that you may see: your own, or all of them as an auditor or administrator. There are more when as many come as
--limit says: --after goes on. The signatures of the log itself come with --event audit.signed alone.`
  static override examples = [
    '<%= config.bin %> audit ls --last 24h',
    '<%= config.bin %> audit ls --failed --last 1h',
    '<%= config.bin %> audit ls --follow --format json',
    '<%= config.bin %> audit ls --limit 50 --after 4711',
    '<%= config.bin %> audit ls --event session.start --event session.end --user joe --format json',
  ]
  static override flags = {
    format: formatFlag(),
    ...eventFlags,
    follow: Flags.boolean({
      char: 'f',
      description: 'the last ones in their order, then each as it happens; JSON is one object a line',
    }),
    limit: Flags.integer({
      description: 'at most this many: 200; to begin with, when following: 10',
      min: 1,
      max: 10_000,
      helpValue: 'N',
    }),
    after: Flags.integer({
      description: 'the next ones after this record, by its seq',
      min: 1,
      helpValue: 'SEQ',
    }),
    ...accessFlags,
  }

  async run(): Promise<void> {
    const {flags} = await this.parse(AuditLs)
    const {eventQuery, followEvents, withAuthApi} = await import('../../lib/client/index.js')
    const {follow, format, after, limit = follow ? 10 : 200} = flags
    if (follow && (format === 'yaml' || flags.to !== undefined))
      throw problem('usage', 'what is followed has no end: --follow goes with neither --to nor yaml')
    if (follow && after !== undefined)
      throw problem('usage', '--after is for going on with a list, not for --follow')
    const query = {
      ...eventQuery(flags, Date.now()),
      ...(flags.event ? {} : {without: [...ofTheLogItself]}),
      limit,
    }
    if (!follow) {
      // The list goes back in time.
      const page = {...query, ...(after !== undefined && {before: after})}
      const found = await withAuthApi(flags, api => api.listEvents(page))
      await render(found, {format, text: () => text(found)})
      const last = found.length === limit ? found.at(-1) : undefined
      if (last && format === 'text')
        process.stderr.write(`sallyport: there may be more; go on with --after ${last.seq}\n`)
      return
    }
    await withAuthApi(flags, async api => {
      for await (const event of followEvents(api, query, ms => delay(ms)))
        process.stdout.write(`${format === 'json' ? jsonLine(event) : safe(line(event))}\n`)
    })
  }
}

/** Of no interest to whoever looks for what happened. */
const ofTheLogItself = ['audit.signed'] as const

/** An event for people, where a table cannot know its widths beforehand. */
const line = (event: AuditEvent): string =>
  [event.time.slice(0, 19).replace('T', ' '), event.code, event.event, event.user ?? '-', details(event)]
    .join('  ')
    .trimEnd()

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

const shown = [
  'error',
  'command',
  'path',
  'reason',
  'login',
  'server_hostname',
  'addr.remote',
  'sid',
] as const

/** What tells one event of a kind from another, most telling first. */
const details = (event: AuditEvent): string =>
  shown.flatMap(key => (typeof event[key] === 'string' ? [`${key}=${event[key]}`] : [])).join(' ')
