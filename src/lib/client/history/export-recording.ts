import type {RemoteAuthApi} from '../../auth/http/remote-methods.js'
import {problem, type SallyportError} from '../../errors/index.js'
import {
  cast3Lines,
  castText,
  endFault,
  htmlPage,
  type ReadState,
  type RecordingSummary,
  rawBytes,
  readCast,
  readPlayerAssets,
  readStored,
  type SessionEnd,
  textLines,
  untilDamage,
} from '../../recording/index.js'

type Api = Pick<RemoteAuthApi, 'openRecording' | 'listEvents'>

/** `stored` are the chunks as they were recorded; the others are what `recordings export --format` offers. */
export type ExportFormat = 'stored' | 'cast' | 'cast3' | 'text' | 'html' | 'raw'

export interface ExportedRecording {
  /** To be read once: of a damaged recording what precedes the damage, and all of its bytes where they are `stored`. */
  content: AsyncIterable<string | Uint8Array>
  /** Why it is not all of its session, where that is in order. */
  remark?: string
  /** What is wrong with the recording, once its content was read. */
  fault(): SallyportError | undefined
}

/**
 * The recording of a session in a form for others. Throws `not_found`, `recording_corrupt` where nothing of it can be read,
 * and `recording_unavailable` of a session whose first second is not over.
 */
export async function exportRecording(
  api: Api,
  sid: string,
  format: ExportFormat,
): Promise<ExportedRecording> {
  const {summary, data} = await api.openRecording(sid)
  if (summary.state === 'live' && summary.bytes === 0)
    throw problem('recording_unavailable', 'the session has only begun: nothing of it is recorded yet', {
      hint: 'try again in a second',
    })
  const state: ReadState = {end: 'open'}
  const content = await contentOf(api, {summary, data, format, state})
  const remark = incomplete(summary)
  return {content, ...(remark !== undefined && {remark}), fault: () => faultOf(state, summary, format)}
}

interface Source {
  summary: RecordingSummary
  data: AsyncIterable<Uint8Array>
  format: ExportFormat
  state: ReadState
}

async function contentOf(api: Api, source: Source): Promise<ExportedRecording['content']> {
  const {summary, data, format, state} = source
  if (format === 'stored') return readStored(data, state)
  if (format === 'cast') return castText(data, state)
  // What else is needed comes first: the recording is not kept open meanwhile.
  const end = format === 'cast3' ? await sessionEnd(api, summary) : {}
  const assets = format === 'html' ? await readPlayerAssets() : undefined
  const cast = untilDamage(await readCast(data), state)
  if (assets) {
    const ending = () => faultOf(state, summary, format)?.message
    return htmlPage(cast, {assets, facts: facts(summary), remark: incomplete(summary), ending})
  }
  if (format === 'cast3') return cast3Lines(cast, end)
  return format === 'text' ? textLines(cast) : rawBytes(cast)
}

function faultOf(
  {end, damage}: ReadState,
  {state}: RecordingSummary,
  format: ExportFormat,
): SallyportError | undefined {
  const hint =
    format === 'stored'
      ? 'its bytes are as they were found: `sallyport recordings verify` says more'
      : 'only what precedes that is in what was written'
  if (damage) return problem(damage.code, damage.message, {hint, cause: damage})
  return endFault(end, state)
}

/** The exit code is in the audit log, not in the recording; who may not see the one may not see the other. */
async function sessionEnd(api: Api, {sid, state, durationMs}: RecordingSummary): Promise<SessionEnd> {
  if (state !== 'sealed') return {}
  const [event] = await api.listEvents({sid, event: ['session.end'], limit: 1})
  const code = event?.exit_code
  return {durationMs, ...(typeof code === 'number' && {exitCode: code})}
}

function incomplete({state}: RecordingSummary): string | undefined {
  if (state === 'live') return 'the session still runs: this is what was recorded of it until now'
  if (state === 'truncated') return 'the recording was cut short: the end of the session is not in it'
  return undefined
}

function facts(summary: RecordingSummary): [string, string][] {
  const {sid, cluster, user, login, host, address, startedAt, endedAt, command} = summary
  const time = (ms: number): string => new Date(ms).toISOString()
  const isCut = summary.state !== 'sealed'
  return [
    ['Session', sid],
    ['Cluster', cluster],
    ['User', user],
    ['Login', login],
    ['Host', host === address ? host : `${host} (${address})`],
    ['Start', time(startedAt)],
    ['End', isCut || endedAt === undefined ? 'not recorded' : time(endedAt)],
    ...(command === undefined ? [] : [['Command', command] as [string, string]]),
  ]
}
