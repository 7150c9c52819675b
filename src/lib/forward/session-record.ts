import type {AuditInput} from '../audit/event.js'
import type {SallyportError} from '../errors/index.js'
import {createRecordingWriter, type RecordingWriter} from '../recording/index.js'
import type {SessionExit, TerminalSize} from './session-requests.js'
import type {ForwardAuth} from './types.js'

/** What every event of one session says about who, where and how. */
export type SessionFacts = Pick<
  AuditInput,
  'user' | 'login' | 'sid' | 'server_hostname' | 'server_addr' | 'forwarded_by' | 'addr.local' | 'addr.remote'
> & {user: string; login: string; sid: string; server_hostname: string; server_addr: string}

export interface SessionStart {
  /** A shell on a pty; false for commands. */
  interactive: boolean
  command?: string
  size?: TerminalSize
  term?: string
}

export interface SessionRecordOptions {
  auth: ForwardAuth
  clusterName: string
  facts: SessionFacts
  now: () => number
  /** `strict`: no recording, no session. */
  mode: 'strict' | 'best_effort'
  /** The recording failed while the session runs; called once. */
  onFailure: (error: SallyportError) => void
  /** An event that nobody waits for could not be written. */
  onProblem: (error: unknown) => void
}

/** The recording and the audit trail of one session: exactly one start, one end, one recording. */
export interface SessionRecord {
  /** Makes header and start event durable. Throws when the session must not begin. */
  begin(start: SessionStart): Promise<void>
  /** The promise asks the relay to wait. */
  output(chunk: Buffer, stream: 'stdout' | 'stderr'): Promise<void> | undefined
  resize(size: TerminalSize): void
  /** Seals the recording, then writes the end events. Idempotent; does nothing before `begin`. */
  finish(exit: SessionExit | undefined, received: number): Promise<void>
  readonly begun: boolean
}

export function createSessionRecord(options: SessionRecordOptions): SessionRecord {
  const {auth, facts, now} = options
  let writer: RecordingWriter | undefined
  let started: SessionStart | undefined
  let startedAt = 0
  let sent = 0
  let finished: Promise<void> | undefined
  const emit = (
    event: AuditInput['event'],
    fields: Record<string, unknown>,
    success = true,
  ): Promise<unknown> =>
    auth.emit({...facts, event, success, proto: 'ssh', fields: {session_recording: 'proxy', ...fields}})

  const open = async (start: SessionStart): Promise<RecordingWriter | undefined> => {
    const {width, height} = {width: start.size?.columns ?? 80, height: start.size?.rows ?? 24}
    const opened = createRecordingWriter({
      meta: {
        sid: facts.sid,
        cluster: options.clusterName,
        user: facts.user,
        login: facts.login,
        host: facts.server_hostname,
        address: facts.server_addr,
        startedAt,
        interactive: start.interactive,
        ...{width, height},
        ...(start.term !== undefined && {term: start.term}),
        ...(start.command !== undefined && {command: start.command}),
      },
      sink: {
        begin: meta => auth.beginRecording(meta),
        append: (sid, chunk) => auth.appendRecording(sid, chunk),
        seal: (sid, end) => auth.sealRecording(sid, end),
      },
      onFailure: options.onFailure,
    })
    try {
      await opened.started()
      return opened
    } catch (error) {
      if (options.mode === 'strict') throw error
      return undefined
    }
  }

  const finish = async (exit: SessionExit | undefined, received: number): Promise<void> => {
    if (!started) return
    const sealed = await writer?.end().then(
      () => true,
      () => false,
    )
    if (sealed) await emit('session.upload', {})
    if (started.command !== undefined) {
      const failed = exit?.code !== 0
      const exitError = exit?.signal ? `signal ${exit.signal}` : exit ? undefined : 'the session was cut off'
      const fields = {command: started.command, exitCode: exit?.code, exitError}
      await emit('exec', fields, !failed)
    }
    await emit('session.data', {tx: sent, rx: received})
    await emit('session.end', {
      interactive: started.interactive,
      participants: [facts.user],
      session_start: new Date(startedAt).toISOString(),
      session_stop: new Date(now()).toISOString(),
      ...(started.command !== undefined && {initial_command: started.command}),
      ...(exit?.code !== undefined && {exit_code: exit.code}),
      ...(exit?.signal !== undefined && {exit_signal: exit.signal}),
      recorded: sealed === true,
    })
  }

  return {
    get begun() {
      return started !== undefined
    },
    async begin(start) {
      startedAt = now()
      writer = await open(start)
      await emit('session.start', {
        interactive: start.interactive,
        size: `${start.size?.columns ?? 80}:${start.size?.rows ?? 24}`,
        ...(start.command !== undefined && {initial_command: start.command}),
        recorded: writer !== undefined,
      })
      started = start
    },
    output(chunk, stream) {
      sent += chunk.length
      // What still arrives after the user has gone reaches nobody, so it is not part of what the user saw.
      if (!writer || writer.failed || finished) return undefined
      return writer.output(chunk, stream) ? undefined : writer.ready()
    },
    resize(size) {
      if (writer && !writer.failed && !finished) writer.resize(size.columns, size.rows)
      if (started) void emit('resize', {size: `${size.columns}:${size.rows}`}).catch(options.onProblem)
    },
    finish(exit, received) {
      finished ??= finish(exit, received)
      return finished
    },
  }
}
