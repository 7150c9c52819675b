import {type Content, createContent, type ReorderWindow} from './content.js'
import type {FileAttributes, FileReport, PathName, Unhashed} from './types.js'

/** Flags of SSH_FXP_OPEN, draft-ietf-secsh-filexfer-02 §6.3. */
const openFlag = {read: 1, write: 2, append: 4, create: 8, truncate: 16, exclusive: 32} as const

interface Side {
  content: Content
  /** Asked for at all. */
  used: boolean
  bytes: number
  /** Requests without an answer yet. */
  unanswered: number
  error?: string
}

/** A file that a client has open, and what has passed of it. */
export interface OpenFile {
  readonly path: PathName
  /** What it seems to be open for. */
  readonly direction: Direction
  asksToRead(): void
  /** Content that the host sends. */
  reads(offset: number, bytes: Buffer): void
  /** The answer to a request for content is there, whatever it is. */
  readAnswered(error?: string): void
  /** There is nothing at this offset. */
  endsAt(offset: number): void
  /** The host says how large the file is. */
  hasSize(size: number): void
  asksToWrite(): void
  writes(offset: number, bytes: Buffer): void
  writeAnswered(bytes: number, error?: string): void
  attributesSet(attributes: FileAttributes): void
  copiedFrom(path: PathName): void
  /** One report a direction. `lost`: the protocol could not be followed to here. */
  conclude(how: 'closed' | 'aborted' | 'lost', error?: string): FileReport[]
}

export function openFile(path: PathName, flags: number, window: ReorderWindow, knownSize?: number): OpenFile {
  const has = (flag: keyof typeof openFlag): boolean => (flags & openFlag[flag]) !== 0
  let read: Side | undefined
  let write: Side | undefined
  let endsAt = Number.POSITIVE_INFINITY
  let size = knownSize
  let attributes: FileAttributes | undefined
  let source: PathName | undefined
  const side = (): Side => ({content: createContent(window), used: false, bytes: 0, unanswered: 0})
  const reading = (): Side => {
    read ??= side()
    return read
  }
  const writing = (): Side => {
    if (write) return write
    write = side()
    if (has('append')) write.content.spoil('appended')
    return write
  }

  const report = (one: Side, closed: boolean, isWhole: (bytes: number) => boolean, direction: Direction) => {
    const whole = one.content.whole()
    if (one.unanswered > 0 || one.error !== undefined) one.content.spoil('not confirmed')
    const complete =
      closed &&
      one.error === undefined &&
      one.unanswered === 0 &&
      whole !== undefined &&
      whole <= one.bytes &&
      isWhole(whole)
    const found = one.bytes === 0 && !complete ? noneOf(one) : one.content.finish()
    const {bytes, error} = one
    return {direction, path, bytes, complete, ...found, ...(error !== undefined && {error})}
  }
  /** Spoiled for a better reason than that nothing came. */
  const noneOf = ({content, used}: Side): {unhashed: Unhashed} => {
    const found = content.finish()
    return used && 'unhashed' in found ? found : {unhashed: 'nothing passed'}
  }

  return {
    path,
    direction: has('write') || has('append') ? 'upload' : 'download',
    asksToRead() {
      reading().used = true
      reading().unanswered++
    },
    reads(offset, bytes) {
      const one = reading()
      one.bytes += bytes.length
      one.content.add(offset, bytes)
    },
    readAnswered(error) {
      const one = reading()
      one.unanswered--
      if (error !== undefined) one.error ??= error
    },
    endsAt(offset) {
      endsAt = Math.min(endsAt, offset)
    },
    hasSize(known) {
      size = known
    },
    asksToWrite() {
      writing().used = true
      writing().unanswered++
    },
    writes: (offset, bytes) => writing().content.add(offset, bytes),
    writeAnswered(bytes, error) {
      const one = writing()
      one.unanswered--
      if (error === undefined) one.bytes += bytes
      else one.error ??= error
    },
    attributesSet(set) {
      attributes = {...attributes, ...set}
    },
    copiedFrom(from) {
      source = from
      writing().used = true
      writing().content.spoil('copied on the host')
    },
    conclude(how, error) {
      const reports: FileReport[] = []
      const closed = how === 'closed' && error === undefined
      const upload = has('write') || has('append') || write !== undefined
      for (const one of [read, write]) if (how === 'lost') one?.content.spoil('not followed')
      if (read || !upload) {
        const ends = (bytes: number): boolean => bytes >= endsAt || (size !== undefined && bytes >= size)
        reports.push(report(reading(), closed, bytes => reading().used && ends(bytes), 'download'))
      }
      if (upload) {
        const fresh = has('truncate') || has('exclusive') || attributes?.size === 0
        const whole = (bytes: number): boolean => !has('append') && (bytes > 0 || fresh) && !source
        reports.push({
          ...report(writing(), closed, whole, 'upload'),
          ...(attributes && {attributes}),
          ...(source && {copiedFrom: source}),
        })
      } else if (attributes && reports[0]) {
        reports[0].attributes = attributes
      }
      if (error !== undefined) for (const each of reports) each.error ??= error
      return reports
    },
  }
}

type Direction = FileReport['direction']
