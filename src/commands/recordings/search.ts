import {Args, Flags} from '@oclif/core'
import type {AuthApi} from '../../lib/auth/contract.js'
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

type Answer = Awaited<ReturnType<AuthApi['searchRecordings']>>
type Hit = Answer['hits'][number]

export default class RecordingsSearch extends BaseCommand {
  static override summary = 'Find what was on the screen of recorded sessions'
  static override description =
    `Looks for the text in each line that stood on the screen, as a person could read it: split by colours, corrected while it
was typed, wrapped at the margin or redrawn. Only sessions that you may see. AT is where it was: sallyport play <session>
--at <at>. Of a session the first 20 lines are shown (of the only one, with --sid, all), and a line that came again and again
once. Where there is more, the answer says so: --after goes on with the next sessions.`
  static override examples = [
    '<%= config.bin %> recordings search "DROP TABLE" --ignore-case --last 30d',
    "<%= config.bin %> recordings search --regex 'curl .*\\| *sh' --host db1 --format json",
    '<%= config.bin %> recordings search oops --sid 5e1f0d3a-9c1b-4c3e-8a55-0d6a4a1f2b7c --limit 1000',
  ]
  static override args = {text: Args.string({description: 'what to look for', required: true})}
  static override flags = {
    regex: Flags.boolean({char: 'E', description: 'the text is a regular expression'}),
    'ignore-case': Flags.boolean({description: 'capitals and small letters are the same'}),
    format: formatFlag(),
    ...sessionFlags,
    sid: Flags.string({description: 'only this session', helpValue: 'SESSION'}),
    limit: Flags.integer({
      description: 'at most this many lines',
      default: 100,
      min: 1,
      max: 1000,
      helpValue: 'N',
    }),
    after: Flags.string({
      description: 'the next ones after this session',
      helpValue: 'SESSION',
      exclusive: ['sid'],
    }),
    ...accessFlags,
  }

  async run(): Promise<void> {
    const {args, flags} = await this.parse(RecordingsSearch)
    const {format, user, host, login, limit, regex, sid, after} = flags
    const {sessionId, timeRange, withAuthApi} = await import('../../lib/client/index.js')
    const query = {
      ...{text: args.text, regex, ignoreCase: flags['ignore-case'], limit},
      ...timeRange(flags, Date.now()),
      ...(user !== undefined && {user}),
      ...(host !== undefined && {host}),
      ...(login !== undefined && {login}),
      ...(sid !== undefined && {sid: sessionId(sid)}),
      ...(after !== undefined && {after: sessionId(after)}),
    }
    const answer = await withAuthApi(flags, api => api.searchRecordings(query))
    await render(record(answer), {format, text: () => text(answer)})
    for (const remark of remarks(answer, sid !== undefined)) process.stderr.write(`sallyport: ${remark}\n`)
  }
}

const record = ({hits, more, cut, next, waiting, partly}: Answer) => ({
  hits: hits.map(({recording, ms, line}) => ({
    sid: recording.sid,
    user: recording.user,
    login: recording.login,
    host: recording.host,
    start: new Date(recording.startedAt).toISOString(),
    at_ms: ms,
    line,
  })),
  more,
  cut,
  next: next ?? null,
  waiting,
  partly,
})

function text({hits}: Answer): string {
  if (hits.length === 0) return 'It was on no screen that you may see.'
  const colour = paint()
  return table<Hit>(
    hits,
    [
      {header: 'Session', value: ({recording}) => recording.sid},
      {header: 'Time (UTC)', value: ({recording, ms}) => utcTime(recording.startedAt + ms)},
      {header: 'At', value: ({ms}) => offset(ms), align: 'right'},
      {header: 'User', value: ({recording}) => recording.user},
      {header: 'Login', value: ({recording}) => recording.login},
      {header: 'Host', value: ({recording}) => recording.host},
      {header: 'Line', value: ({line}) => line},
    ],
    {...tableWidth(), heading: line => colour.bold(line)},
  )
}

/** As `play --at` takes it: `1:02:03.5`, `0:03`. */
function offset(ms: number): string {
  const seconds = Math.floor(ms / 1000)
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60]
  const fraction =
    ms % 1000 === 0
      ? ''
      : `.${String(ms % 1000)
          .padStart(3, '0')
          .replace(/0+$/, '')}`
  const rest = String(seconds % 60).padStart(2, '0') + fraction
  return hours > 0 ? `${hours}:${String(minutes).padStart(2, '0')}:${rest}` : `${minutes}:${rest}`
}

function remarks({hits, cut, next, waiting, partly}: Answer, ofOne: boolean): string[] {
  const sessions = (count: number): string => (count === 1 ? '1 session' : `${count} sessions`)
  return [
    ...(ofOne && cut.length > 0
      ? [
          `only its first ${hits.length === 1 ? 'line is' : `${hits.length} lines are`} shown: raise --limit, or ask for less`,
        ]
      : []),
    ...(!ofOne && cut.length > 0
      ? [
          `of ${sessions(cut.length)} only the first lines are shown; see more with --sid ${safe(cut[0] ?? '')}`,
        ]
      : []),
    ...(next === undefined ? [] : [`there is more; go on with --after ${safe(next)}`]),
    ...(waiting > 0
      ? [`${sessions(waiting)} not searched: still running, or not read yet; try again in a while`]
      : []),
    ...(partly > 0 ? [`${sessions(partly)} searched in part or not at all: too long, or damaged`] : []),
  ]
}
