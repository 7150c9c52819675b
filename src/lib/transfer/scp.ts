import {asProblem} from '../errors/index.js'
import type {ScpCommand} from './command.js'
import {type Content, createContent, reorderWindow} from './content.js'
import {unreadable} from './packets.js'
import {words} from './path-name.js'
import {createScpNames} from './scp-names.js'
import type {FileReport, TransferParser, TransferReports, Unhashed} from './types.js'

/** Longest line of the protocol; names are at most 255 bytes on Linux, and encoded four times as long. */
const maxLineBytes = 8 * 1024
/** Lines and files whose answers have not come yet. Programs wait for each; libraries that do not send one file. */
const maxUnanswered = 1024

const OK = 0
const WARNING = 1
const FATAL = 2
const NEWLINE = 10

interface CurrentFile {
  id: number
  report: Pick<FileReport, 'direction' | 'path' | 'name'>
  size: number
  left: number
  content: Content
  error?: string
  /** The other side has agreed to take it. */
  accepted: boolean
  /** Nothing of it has been looked at yet. */
  untouched: boolean
}

type Expected =
  | {of: 'ready'}
  | {of: 'times'}
  | {of: 'file'; file: CurrentFile}
  | {of: 'directory'; lines: number}
  | {of: 'leave'}
  | {of: 'end'; file: CurrentFile}

/**
 * Follows the protocol of rcp, as `scp -t` and `scp -f` on a host speak it: the side with the files (the source) sends
 * lines `C<mode> <size> <name>`, `D…`, `E`, `T…` and contents, the other (the sink) answers each of them with a zero
 * byte, or with 1 or 2 and a line of text. Programs wait for each answer; some libraries do not, so what comes early
 * is taken for what it will be if the answer is yes.
 */
export function watchScp(command: ScpCommand, reports: TransferReports): TransferParser {
  const names = createScpNames(command)
  const expected: Expected[] = [{of: 'ready'}]
  const sourceLine = createLine()
  const sinkLine = createLine()
  let state: 'line' | 'data' | 'status' = 'line'
  let current: CurrentFile | undefined
  const unfinished = new Set<CurrentFile>()
  let lines = 0
  let lastId = 0
  let over = false

  const conclude = (file: CurrentFile, confirmed: boolean): void => {
    if (!unfinished.delete(file)) return
    const {error} = file
    const bytes = file.size - file.left
    const complete = confirmed && file.left === 0 && error === undefined
    const found = bytes === 0 && !complete ? nothing : file.content.finish()
    tell(file, {...file.report, bytes, complete, ...found, ...(error !== undefined && {error})})
  }
  const tell = ({id}: CurrentFile, report: FileReport): void => {
    reports.file(report, id)
    reports.closed?.(id)
  }
  const noteError = (file: CurrentFile, error: string): void => {
    file.error ??= error
    file.content.spoil('not confirmed')
  }
  const expect = (answer: Expected): void => {
    if (expected.length >= maxUnanswered) throw unreadable('more than a thousand lines wait for an answer')
    expected.push(answer)
  }

  const beginFile = (size: number, name: Buffer): void => {
    const report = {direction: command.direction, ...names.file(name)}
    current = {
      ...{id: ++lastId, report, size, left: size},
      content: createContent(reorderWindow()),
      accepted: false,
      untouched: true,
    }
    unfinished.add(current)
    reports.opened?.(lastId, report)
    expect({of: 'file', file: current})
    state = size > 0 ? 'data' : 'status'
  }
  const onLine = (line: Buffer): void => {
    lines++
    const parsed = parseLine(line)
    switch (parsed.kind) {
      case 'error':
        return reports.file({
          ...{direction: command.direction, path: names.root(), bytes: 0, complete: false},
          ...{...nothing, error: parsed.text, refused: true},
        })
      case 'times':
        return expect({of: 'times'})
      case 'file':
        return beginFile(parsed.size, parsed.name)
      case 'directory':
        names.enter(parsed.name)
        return expect({of: 'directory', lines})
      case 'leave':
        names.leave()
        return expect({of: 'leave'})
    }
  }
  const endOfFile = (error?: string): void => {
    if (!current) throw unreadable('a file ends that has not begun')
    if (error !== undefined) noteError(current, error)
    expect({of: 'end', file: current})
    current = undefined
    state = 'line'
  }
  const onAnswer = (error: string | undefined): void => {
    const answer = expected.shift()
    if (!answer) {
      if (error === undefined) throw unreadable('an answer to nothing')
      // The sink gives up in the middle; nobody knows what it has kept.
      if (current) noteError(current, error)
      return
    }
    if (answer.of === 'end') {
      if (error !== undefined) noteError(answer.file, error)
      return conclude(answer.file, error === undefined)
    }
    if (answer.of === 'file') {
      answer.file.accepted = error === undefined
      if (error === undefined) return
      // Nobody can say any more what the bytes were that came after it.
      if (answer.file !== current || !answer.file.untouched) throw unreadable('content of a refused file')
      current = undefined
      state = 'line'
      unfinished.delete(answer.file)
      tell(answer.file, {
        ...{...answer.file.report, bytes: 0, complete: false, ...nothing},
        ...{error, refused: true},
      })
    } else if (answer.of === 'directory' && error !== undefined) {
      if (answer.lines !== lines) throw unreadable('lines in a refused directory')
      names.leave()
    }
  }

  /** Returns how many bytes from `at` on it took; tells whether they are something to show. */
  const sourceStep = (bytes: Buffer, at: number, show: (from: number, to: number) => void): number => {
    if (state === 'data' && current) {
      const part = bytes.subarray(at, at + current.left)
      current.untouched = false
      current.content.add(current.size - current.left, part)
      current.left -= part.length
      if (current.left === 0) state = 'status'
      return part.length
    }
    if (state === 'status' && sourceLine.isEmpty && bytes[at] === OK) {
      if (current) current.untouched = false
      endOfFile()
      return 1
    }
    if (current) current.untouched = false
    // Looked at before its end: what is something else may never send a line break.
    if (sourceLine.isEmpty) checkStart(bytes[at], state === 'line' ? lineStarts : answerStarts)
    const taken = sourceLine.take(bytes, at)
    show(at, at + taken)
    const line = sourceLine.finished()
    if (!line) return taken
    if (state === 'line') onLine(line)
    else endOfFile(errorLine(line))
    return taken
  }
  const sinkStep = (bytes: Buffer, at: number, show: (from: number, to: number) => void): number => {
    if (sinkLine.isEmpty && bytes[at] === OK) {
      onAnswer(undefined)
      return 1
    }
    if (sinkLine.isEmpty) checkStart(bytes[at], answerStarts)
    const taken = sinkLine.take(bytes, at)
    show(at, at + taken)
    const line = sinkLine.finished()
    if (line) onAnswer(errorLine(line))
    return taken
  }

  const follow = (bytes: Buffer, step: typeof sourceStep): Buffer => {
    if (over) return bytes
    const shown: Buffer[] = []
    let at = 0
    let shownTo = 0
    const show = (from: number, to: number): void => {
      shown.push(bytes.subarray(from, to))
      shownTo = to
    }
    try {
      while (at < bytes.length) at += step(bytes, at, show)
    } catch (error) {
      shown.push(bytes.subarray(Math.max(at, shownTo)))
      lose(asProblem(error).message)
    }
    return shown.length === 1 ? (shown[0] as Buffer) : Buffer.concat(shown)
  }
  const finish = (reason?: Unhashed): void => {
    if (over) return
    over = true
    for (const file of unfinished) {
      if (reason) file.content.spoil(reason)
      conclude(file, false)
    }
  }
  const lose = (why: string): void => {
    finish('not followed')
    reports.lost(why)
  }
  const upload = command.direction === 'upload'
  return {
    fromClient: bytes => void follow(bytes, upload ? sourceStep : sinkStep),
    fromHost: bytes => follow(bytes, upload ? sinkStep : sourceStep),
    end: () => finish(),
  }
}

const nothing = {unhashed: 'nothing passed'} as const

type Line =
  | {kind: 'error'; text: string}
  | {kind: 'times'}
  | {kind: 'leave'}
  | {kind: 'file'; size: number; name: Buffer}
  | {kind: 'directory'; name: Buffer}

const answerStarts: ReadonlySet<number> = new Set([WARNING, FATAL])
const lineStarts: ReadonlySet<number> = new Set([...answerStarts, ...Buffer.from('CDET')])

function checkStart(byte: number | undefined, starts: ReadonlySet<number>): void {
  if (byte === undefined || !starts.has(byte)) throw unreadable('a line that is none of the protocol')
}

function parseLine(line: Buffer): Line {
  if (line[0] === WARNING || line[0] === FATAL) return {kind: 'error', text: errorLine(line)}
  const text = line.toString('latin1')
  if (text === 'E') return {kind: 'leave'}
  if (/^T\d{1,20} \d{1,6} \d{1,20} \d{1,6}$/.test(text)) return {kind: 'times'}
  const match = /^([CD])[0-7]{4} (\d{1,16}) (.+)$/s.exec(text)
  const size = Number(match?.[2])
  if (!match || !Number.isSafeInteger(size)) throw unreadable('a line that is none of the protocol')
  const name = Buffer.from(match[3] ?? '', 'latin1')
  return match[1] === 'C' ? {kind: 'file', size, name} : {kind: 'directory', name}
}

/** The words of a warning or an error, which its first byte says that it is. */
function errorLine(line: Buffer): string {
  return words(line.subarray(1)).replace(/^scp: /, '') || 'it failed'
}

/** Gathers a line that arrives in pieces. */
function createLine() {
  let pieces: Buffer[] = []
  let size = 0
  let done = false
  return {
    get isEmpty() {
      return size === 0
    },
    /** Takes up to the line break; returns how many bytes that were. */
    take(bytes: Buffer, at: number): number {
      const newline = bytes.indexOf(NEWLINE, at)
      const end = newline < 0 ? bytes.length : newline
      if (size + end - at > maxLineBytes) throw unreadable('a line is longer than 8 kB')
      // A copy, so that a line in single bytes does not hold on to what they came in.
      pieces.push(Buffer.from(bytes.subarray(at, end)))
      size += end - at
      done = newline >= 0
      return newline < 0 ? end - at : newline + 1 - at
    },
    /** The line without its break, once it is there. */
    finished(): Buffer | undefined {
      if (!done) return undefined
      const line = Buffer.concat(pieces)
      pieces = []
      size = 0
      done = false
      return line
    },
  }
}
