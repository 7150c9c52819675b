import {asProblem} from '../errors/index.js'
import type {ScpCommand} from './command.js'
import {unreadable} from './packets.js'
import {createScpFiles, type ScpFile} from './scp-files.js'
import {answerStarts, checkStart, createLine, errorLine, lineStarts, OK, parseLine} from './scp-lines.js'
import {createScpNames} from './scp-names.js'
import type {TransferParser, TransferReports, Unhashed} from './types.js'

/** Lines and files whose answers have not come yet. Programs wait for each; libraries that do not send one file. */
const maxUnanswered = 1024

type Expected =
  | {of: 'ready'}
  | {of: 'times'}
  | {of: 'file'; file: ScpFile}
  | {of: 'directory'; lines: number}
  | {of: 'leave'}
  | {of: 'end'; file: ScpFile}

/**
 * Follows the protocol of rcp, as `scp -t` and `scp -f` on a host speak it: the side with the files (the source) sends
 * lines `C<mode> <size> <name>`, `D…`, `E`, `T…` and contents, the other (the sink) answers each of them with a zero
 * byte, or with 1 or 2 and a line of text. Programs wait for each answer; some libraries do not, so what comes early
 * is taken for what it will be if the answer is yes.
 */
export function watchScp(command: ScpCommand, reports: TransferReports): TransferParser {
  const names = createScpNames(command)
  const files = createScpFiles(command, names, reports)
  const expected: Expected[] = [{of: 'ready'}]
  const sourceLine = createLine()
  const sinkLine = createLine()
  let state: 'line' | 'data' | 'status' = 'line'
  let current: ScpFile | undefined
  let lines = 0
  let over = false

  const expect = (answer: Expected): void => {
    if (expected.length >= maxUnanswered) throw unreadable('more than a thousand lines wait for an answer')
    expected.push(answer)
  }

  const beginFile = (size: number, name: Buffer): void => {
    current = files.begin(size, name)
    expect({of: 'file', file: current})
    state = size > 0 ? 'data' : 'status'
  }
  const onLine = (line: Buffer): void => {
    lines++
    const parsed = parseLine(line)
    switch (parsed.kind) {
      case 'error':
        return files.missing(parsed.text)
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
    if (error !== undefined) files.noteError(current, error)
    expect({of: 'end', file: current})
    current = undefined
    state = 'line'
  }
  const onAnswer = (error: string | undefined): void => {
    const answer = expected.shift()
    if (!answer) {
      if (error === undefined) throw unreadable('an answer to nothing')
      // The sink gives up in the middle; nobody knows what it has kept.
      if (current) files.noteError(current, error)
      return
    }
    if (answer.of === 'end') {
      if (error !== undefined) files.noteError(answer.file, error)
      return files.conclude(answer.file, error === undefined)
    }
    if (answer.of === 'file') {
      if (error === undefined) return
      // Nobody can say any more what the bytes were that came after it.
      if (answer.file !== current || !answer.file.untouched) throw unreadable('content of a refused file')
      current = undefined
      state = 'line'
      files.refuse(answer.file, error)
    } else if (answer.of === 'directory' && error !== undefined) {
      if (answer.lines !== lines) throw unreadable('lines in a refused directory')
      names.leave()
    }
  }

  /** Returns how many bytes from `at` on it took; tells whether they are something to show. */
  const sourceStep = (bytes: Buffer, at: number, show: (from: number, to: number) => void): number => {
    if (state === 'data' && current) {
      const taken = files.take(current, bytes.subarray(at))
      if (current.left === 0) state = 'status'
      return taken
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
    files.abandon(reason)
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
