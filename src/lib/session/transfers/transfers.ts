import type {AuditInput} from '../../audit/event.js'
import {asProblem, problem, type SallyportError} from '../../errors/index.js'
import {
  type FileReport,
  type OperationReport,
  type TransferCommand,
  type TransferParser,
  type TransferReports,
  transferCommand,
  watchScp,
  watchSftp,
} from '../../transfer/index.js'
import {fileEvent, fileMarker, openEvent, operationEvent} from './events.js'
import {eventWriter} from './log.js'
import {watchOpenFiles} from './open-files.js'
import {eventPace} from './pace.js'

/**
 * What changes nothing, and moves none of what is in files: operations that failed, and lists of directories. So many of
 * a session have an event of their own; beyond it they are counted by kind, unless the session is strict.
 */
export const maxMinorEvents = 10_000

export interface TransferOptions {
  /** What starts the session, and its command or the name of its subsystem. */
  kind: string
  command: string | undefined
  /** Writes an event of this session. */
  emit(input: AuditInput): Promise<unknown>
  /** Puts a line into the session's recording, where it has one. */
  marker(label: string): void
  /** `strict`: a transfer that cannot be put on record does not go on. */
  mode: 'strict' | 'best_effort'
  /** Strict only: the session has to end. Called once. */
  onLost(error: SallyportError): void
  /** An event that could not be written. */
  onProblem(error: unknown): void
}

/** Watches the bytes of a session that moves files, and puts each file on record. It alters nothing. */
export interface TransferWatch {
  /** What passes is no such protocol, or can no longer be followed: nothing more of it is put on record here. */
  readonly lost: boolean
  /** Bytes of the client, before they are passed on. The promise asks the relay to wait. */
  input(bytes: Buffer): Promise<void> | undefined
  /** Bytes of the host's stdout, before they are passed on. `shown`: what of them belongs in a terminal recording. */
  output(bytes: Buffer): {shown: Buffer; wait: Promise<void> | undefined}
  /** Tells of what is still open, and of the whole. Resolves when all of it is on record. Idempotent; never rejects. */
  finish(): Promise<void>
}

/** The watch for a session that is a transfer; undefined for any other. */
export function watchTransfer(options: TransferOptions): TransferWatch | undefined {
  const command = transferCommand(options.kind, options.command)
  if (!command) return undefined
  const log = transferLog(command.protocol, options)
  switch (command.protocol) {
    case 'rsync':
      return noteRsync(command, log)
    case 'scp':
      return watch(watchScp(command, log.reports), log)
    case 'sftp': {
      const parser = watchSftp(log.reports)
      return watch(parser, log, () => log.tellSummary(parser.totals().requests))
    }
  }
}

function watch(parser: TransferParser, log: TransferLog, tellEnd?: () => void): TransferWatch {
  let finished: Promise<void> | undefined
  return {
    get lost() {
      return log.lost
    },
    input(bytes) {
      if (finished) return undefined
      parser.fromClient(bytes)
      return log.room()
    },
    output(bytes) {
      if (finished) return {shown: bytes, wait: undefined}
      const shown = parser.fromHost(bytes)
      return {shown, wait: log.room()}
    },
    finish() {
      if (!finished) {
        parser.end()
        tellEnd?.()
        finished = log.idle()
      }
      return finished
    },
  }
}

/** rsync's content is not followed, so it stays in the recording like the output of any command. */
function noteRsync(
  {direction, paths}: TransferCommand & {protocol: 'rsync'},
  log: TransferLog,
): TransferWatch {
  const bytes = {download: 0, upload: 0}
  let finished: Promise<void> | undefined
  return {
    lost: false,
    input(chunk) {
      bytes.upload += chunk.length
      return undefined
    },
    output(chunk) {
      bytes.download += chunk.length
      return {shown: chunk, wait: undefined}
    },
    finish() {
      if (!finished) {
        log.write({event: `rsync.${direction}`, fields: {direction, paths, bytes: bytes[direction]}})
        finished = log.idle()
      }
      return finished
    },
  }
}

/** What became of everything, files with and without an event of their own. */
interface Totals {
  files_read: number
  files_written: number
  bytes_read: number
  bytes_written: number
  failed: number
}

interface TransferLog {
  readonly lost: boolean
  reports: TransferReports
  write(input: AuditInput): void
  room(): Promise<void> | undefined
  idle(): Promise<void>
  /** The sum of an SFTP session. */
  tellSummary(requests: Record<string, number>): void
}

function transferLog(protocol: TransferCommand['protocol'], options: TransferOptions): TransferLog {
  const {mode, marker, onLost, onProblem} = options
  let lost = false
  let told = false
  const lose = (error: SallyportError): void => {
    if (told || mode !== 'strict') return
    told = true
    onLost(error)
  }
  const failed = (error: unknown): void => {
    onProblem(error)
    const words = asProblem(error).message
    lose(problem('recording_unavailable', `the transfer cannot be put on record: ${words}`, {cause: error}))
  }
  const writer = eventWriter(
    options.emit,
    failed,
    eventPace(() => performance.now()),
  )
  const totals: Totals = {files_read: 0, files_written: 0, bytes_read: 0, bytes_written: 0, failed: 0}
  const unlisted = new Map<string, number>()
  let minorLeft = mode === 'strict' ? Number.POSITIVE_INFINITY : maxMinorEvents

  const open = watchOpenFiles<Parameters<typeof openEvent>[1]>((id, facts) =>
    writer.write(openEvent(protocol, facts, id)),
  )
  // Of files none goes without its event: whoever wants to hide one would only have to fill the room with others.
  const file = (report: FileReport, id = 0): void => {
    const kind = report.direction === 'download' ? 'read' : 'written'
    if (report.error !== undefined) totals.failed++
    if (!report.refused) totals[`files_${kind}`]++
    totals[`bytes_${kind}`] += report.bytes
    writer.write(fileEvent(protocol, report, open.isNoted(id) ? id : undefined))
    marker(fileMarker(report))
  }
  const operation = (report: OperationReport): void => {
    const isMinor = !report.unanswered && (report.error !== undefined || report.operation === 'opendir')
    if (report.error !== undefined) totals.failed++
    const event = operationEvent(report)
    if (!isMinor || minorLeft-- > 0) writer.write(event)
    else unlisted.set(event.event, (unlisted.get(event.event) ?? 0) + 1)
  }
  return {
    get lost() {
      return lost
    },
    reports: {
      opened: open.opened,
      file,
      closed: open.closed,
      operation,
      lost(reason) {
        lost = true
        const error = `the transfer can no longer be followed: ${reason}`
        writer.write({event: 'session.transfer.lost', success: false, error, fields: {protocol}})
        marker(error)
        lose(problem('protocol_error', error, {hint: 'this session may only move files by SFTP or scp'}))
      },
    },
    write: writer.write,
    room: writer.room,
    idle() {
      open.stop()
      return writer.idle()
    },
    tellSummary(requests) {
      const rest = unlisted.size > 0 ? {not_listed: Object.fromEntries(unlisted)} : {}
      writer.write({event: 'sftp.summary', fields: {...totals, ...rest, requests}})
    },
  }
}
