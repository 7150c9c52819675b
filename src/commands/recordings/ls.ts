import {Flags} from '@oclif/core'
import {
  accessFlags,
  BaseCommand,
  formatFlag,
  paint,
  render,
  safe,
  sessionFlags,
  table,
  tableWidth,
  utcTime,
} from '../../lib/cli/index.js'
import type {RecordingSummary} from '../../lib/recording/index.js'

export default class RecordingsLs extends BaseCommand {
  static override summary = 'List the recorded sessions, newest first'
  static override description =
    `Only those that you may see. STATE is sealed when the recording is complete and signed, live while the session runs,
truncated when it was cut short; held means under legal hold. When there may be more than --limit, stderr says how to go on in
every format: with --after and the last session, until none come. The end of a truncated one is the last time that is known.`
  static override examples = [
    '<%= config.bin %> recordings ls',
    '<%= config.bin %> recordings ls --user joe --host db1 --last 24h --format json',
    '<%= config.bin %> recordings ls --held',
    '<%= config.bin %> recordings ls --limit 50 --after 5e1f0d3a-9c1b-4c3e-8a55-0d6a4a1f2b7c',
  ]
  static override flags = {
    format: formatFlag(),
    ...sessionFlags,
    held: Flags.boolean({description: 'only those under legal hold'}),
    limit: Flags.integer({description: 'at most this many', default: 200, min: 1, max: 1000, helpValue: 'N'}),
    after: Flags.string({description: 'the next ones after this session', helpValue: 'SESSION'}),
    ...accessFlags,
  }

  async run(): Promise<void> {
    const {flags} = await this.parse(RecordingsLs)
    const {format, user, host, login, limit, after} = flags
    const {recordingView, sessionId, timeRange, withAuthApi} = await import('../../lib/client/index.js')
    const query = {
      limit,
      ...timeRange(flags, Date.now()),
      ...(user !== undefined && {user}),
      ...(host !== undefined && {host}),
      ...(login !== undefined && {login}),
      ...(after !== undefined && {after: sessionId(after)}),
      ...(flags.held && {held: true}),
    }
    const found = await withAuthApi(flags, api => api.listRecordings(query))
    await render(found.map(recordingView), {format, text: () => text(found)})
    const last = found.length === limit ? found.at(-1) : undefined
    if (last) process.stderr.write(`sallyport: there may be more; go on with --after ${safe(last.sid)}\n`)
  }
}

function text(found: RecordingSummary[]): string {
  if (found.length === 0) return 'There are no such sessions that you may see.'
  const colour = paint()
  return table(
    found,
    [
      {header: 'Session', value: summary => summary.sid},
      {header: 'Started (UTC)', value: summary => utcTime(summary.startedAt)},
      {header: 'Duration', value: summary => duration(summary.durationMs), align: 'right'},
      {header: 'User', value: summary => summary.user},
      {header: 'Login', value: summary => summary.login},
      {header: 'Host', value: summary => summary.host},
      {
        header: 'State',
        value: summary => (summary.hold ? `${summary.state}, held` : summary.state),
        paint: (cell, summary) => (summary.state === 'truncated' ? colour.yellow(cell) : cell),
      },
      {header: 'Command', value: summary => summary.command ?? (summary.interactive ? '(shell)' : '')},
    ],
    {...tableWidth(), heading: line => colour.bold(line)},
  )
}

/** `1:02:03`, `2:03`. */
function duration(ms: number): string {
  const seconds = Math.round(ms / 1000)
  const [hours, minutes, rest] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60]
  const two = (value: number): string => String(value).padStart(2, '0')
  return hours > 0 ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`
}
