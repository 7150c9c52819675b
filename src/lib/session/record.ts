import type {AuditInput} from '../audit/event.js'
import {asProblem, problem, SallyportError} from '../errors/index.js'
import {createRecordingWriter, type RecordingWriter} from '../recording/index.js'
import type {SessionExit, TerminalSize} from './channel/requests.js'
import type {SessionAuth} from './types.js'
import {createRelease, type Withhold} from './withheld/release.js'

/** What every event of one session says about who, where and how. */
export type SessionFacts = Pick<
  AuditInput,
  | 'user'
  | 'login'
  | 'sid'
  | 'server_id'
  | 'server_labels'
  | 'server_hostname'
  | 'server_addr'
  | 'forwarded_by'
  | 'addr.local'
  | 'addr.remote'
> & {user: string; login: string; sid: string; server_hostname: string; server_addr: string}

export interface SessionStart {
  /** A shell on a pty; false for commands. */
  interactive: boolean
  command?: string
  size?: TerminalSize
  term?: string
}

export interface SessionRecordOptions {
  auth: SessionAuth
  clusterName: string
  facts: SessionFacts
  now: () => number
  /** Where the session is recorded; `off`: nowhere, its events are written all the same. Default: proxy. */
  place?: 'proxy' | 'node' | 'off'
  /** `strict`: no recording, no session. */
  mode: 'strict' | 'best_effort'
  /** The recording failed while the session runs; called once. */
  onFailure: (error: SallyportError) => void
  /** An event that nobody waits for could not be written. */
  onProblem: (error: unknown) => void
  /** What the end event says besides. */
  endFields?: () => Record<string, unknown>
}

/** The recording and the audit trail of one session: exactly one start, one end, one recording. */
export interface SessionRecord {
  /** Makes header and start event durable. Throws when the session must not begin. Called once. */
  begin(start: SessionStart): Promise<void>
  /** There in a strict session, in place of `output`: nobody sees what is not on record for certain. */
  readonly withhold?: Withhold
  /**
   * The promise asks the relay to wait; false: these bytes must not be delivered.
   * @param passed how many bytes the user gets, where the recording leaves some of them out
   */
  output(chunk: Buffer, stream: 'stdout' | 'stderr', passed?: number): Promise<void> | false | undefined
  /** A line in the recording that was on no screen. */
  marker(label: string): void
  resize(size: TerminalSize): void
  /**
   * Seals the recording, then writes the end events, each of them whatever becomes of the others. Idempotent; waits
   * for a `begin` under way, and does nothing where there was none. Rejects with what could not be written.
   */
  finish(exit: SessionExit | undefined, received: number): Promise<void>
}

/** A terminal dragged by its corner changes size often; beyond this only the recording follows. */
const maxResizeEvents = 1000

export function createSessionRecord(options: SessionRecordOptions): SessionRecord {
  const {facts, now, place = 'proxy'} = options
  let writer: RecordingWriter | undefined
  let started: SessionStart | undefined
  let startedAt = 0
  let sent = 0
  let beginning: Promise<void> | undefined
  let finished: Promise<void> | undefined
  const emit: Emit = (event, fields, success = true) =>
    options.auth.emit({
      ...{...facts, event, success, proto: 'ssh'},
      fields: {session_recording: place, ...fields},
    })
  const resizes = announceResizes(emit, options.onProblem)
  const isWithheld = options.mode === 'strict' && place !== 'off'
  const release = isWithheld ? createRelease(() => writer) : undefined

  const begin = async (start: SessionStart): Promise<void> => {
    startedAt = now()
    if (place !== 'off') writer = await openRecording(options, start, startedAt)
    try {
      await emit('session.start', {
        interactive: start.interactive,
        size: formatSize(start.size ?? defaultSize),
        ...(start.command !== undefined && {initial_command: start.command}),
        recorded: writer !== undefined,
      })
    } catch (error) {
      // No session without its trail; the recording that has begun ends here.
      await writer?.end().catch(options.onProblem)
      throw error
    }
    started = start
  }

  const finish = async (exit: SessionExit | undefined, received: number): Promise<void> => {
    // Whoever waits for `begin` is told why it failed.
    await beginning?.catch(() => undefined)
    if (!started) return
    const end = await writer?.end().catch(() => undefined)
    await resizes.settled()
    const problems: unknown[] = []
    const attempt: Emit = (...event) => emit(...event).catch(error => problems.push(error))
    if (end) await attempt('session.upload', {chunks: end.chunks, head: end.head})
    if (started.command !== undefined) {
      await attempt('exec', execFields(started.command, exit), exit?.code === 0)
    }
    await attempt('session.data', {tx: sent, rx: received})
    await attempt('session.end', {
      interactive: started.interactive,
      participants: [facts.user],
      session_start: new Date(startedAt).toISOString(),
      session_stop: new Date(now()).toISOString(),
      ...(started.command !== undefined && {initial_command: started.command}),
      ...(exit?.code !== undefined && {exit_code: exit.code}),
      ...(exit?.signal !== undefined && {exit_signal: exit.signal}),
      recorded: end !== undefined,
      ...options.endFields?.(),
    })
    if (problems.length > 0) throw problems[0]
  }

  const withhold: Withhold | undefined =
    release &&
    ((stream, deliver) =>
      release.withhold(stream, (lent, shown) => {
        sent += lent.length
        deliver(lent, shown)
      }))

  return {
    ...(withhold && {withhold}),
    begin(start) {
      if (finished) return Promise.reject(problem('cancelled', 'the session ended before it began'))
      beginning = begin(start).catch(async error => {
        const rejected = {event: 'session.rejected', success: false, error: asProblem(error).message} as const
        await options.auth.emit({...facts, ...rejected, proto: 'ssh'}).catch(options.onProblem)
        throw error
      })
      return beginning
    },
    output(chunk, stream, passed = chunk.length) {
      if (writer?.failed && isTaken(writer.failed)) return false
      sent += passed
      if (!writer || writer.failed || finished || chunk.length === 0) return undefined
      return writer.output(chunk, stream) ? undefined : writer.ready()
    },
    marker(label) {
      if (writer && !writer.failed && !finished) writer.marker(label)
    },
    resize(size) {
      if (!started || finished) return
      if (writer && !writer.failed) writer.resize(size.columns, size.rows)
      resizes.announce(size)
    },
    finish(exit, received) {
      // What still arrives after the user has gone reaches nobody, so it is not part of what the user saw.
      release?.close()
      finished ??= finish(exit, received)
      return finished
    },
  }
}

type Emit = (
  event: AuditInput['event'],
  fields: Record<string, unknown>,
  success?: boolean,
) => Promise<unknown>

const defaultSize: TerminalSize = {columns: 80, rows: 24}

const formatSize = ({columns, rows}: TerminalSize): string => `${columns}:${rows}`

/** @throws what the store says, in strict mode; best effort goes on without a recording */
async function openRecording(
  options: SessionRecordOptions,
  start: SessionStart,
  startedAt: number,
): Promise<RecordingWriter | undefined> {
  const {auth, facts} = options
  const {columns, rows} = start.size ?? defaultSize
  const writer = createRecordingWriter({
    meta: {
      sid: facts.sid,
      cluster: options.clusterName,
      user: facts.user,
      login: facts.login,
      host: facts.server_hostname,
      address: facts.server_addr,
      startedAt,
      interactive: start.interactive,
      width: columns,
      height: rows,
      ...(start.term !== undefined && {term: start.term}),
      ...(start.command !== undefined && {command: start.command}),
    },
    sink: {
      begin: meta => auth.beginRecording(meta),
      append: (sid, chunk) => auth.appendRecording(sid, chunk),
      seal: (sid, end) => auth.sealRecording(sid, end),
    },
    prompt: options.mode === 'strict',
    onFailure: error => {
      // Until it has begun, whoever begins it is told.
      if (begun || !isTaken(error)) options.onFailure(error)
    },
  })
  let begun = false
  try {
    await writer.started()
    begun = true
    return writer
  } catch (error) {
    if (options.mode === 'strict') throw error
    // A host that shares its ID of the session could choose one that is taken, to go unrecorded.
    if (isTaken(error)) throw error
    return undefined
  }
}

/**
 * Whether the ID of the session belongs to another one: then nobody goes on unrecorded, for it is the host that chose it.
 * The writer names what kept it from beginning as the cause.
 */
export const isTaken = (error: unknown): boolean =>
  error instanceof SallyportError && (error.code === 'already_exists' || isTaken(error.cause))

function execFields(command: string, exit: SessionExit | undefined): Record<string, unknown> {
  if (exit?.code !== undefined) return {command, exitCode: exit.code}
  return {
    command,
    exitError: exit?.signal ? `signal ${exit.signal}` : (exit?.reason ?? 'the session was cut off'),
  }
}

/** One event at a time: of the sizes that come while it is written only the last one counts. */
function announceResizes(
  emit: Emit,
  onProblem: (error: unknown) => void,
): {announce(size: TerminalSize): void; settled(): Promise<void>} {
  let latest: TerminalSize | undefined
  let announcing: Promise<void> | undefined
  let left = maxResizeEvents
  const run = async (): Promise<void> => {
    while (latest && left-- > 0) {
      const size = latest
      latest = undefined
      await emit('resize', {size: formatSize(size)}).catch(onProblem)
    }
    announcing = undefined
  }
  return {
    announce(size) {
      latest = size
      announcing ??= run()
    },
    settled: () => announcing ?? Promise.resolve(),
  }
}
