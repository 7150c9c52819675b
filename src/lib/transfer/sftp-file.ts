import type {ReorderWindow} from './content.js'
import {fileLength} from './sftp-length.js'
import {openFlag} from './sftp-requests.js'
import {createSide, type Side} from './sftp-side.js'
import type {Direction, FileAttributes, FileReport, PathName, Unhashed} from './types.js'

/** Whether a file is opened to be read alone. Even one that is not written to may be made, or emptied. */
const changing = openFlag.write | openFlag.append | openFlag.create | openFlag.truncate
export const directionOf = (flags: number): Direction => ((flags & changing) !== 0 ? 'upload' : 'download')

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
  asksForLength(length: number): void
  lengthAnswered(done: boolean): void
  attributesSet(attributes: FileAttributes): void
  /** The host is asked to fill it from another file: what of that it does is not seen. */
  asksToCopy(): void
  copiedFrom(path: PathName): void
  /** It may have been changed other than through this handle. */
  changedMeanwhile(): void
  /** One report a direction. `lost`: the protocol could not be followed to here. */
  conclude(how: 'closed' | 'aborted' | 'lost', error?: string): FileReport[]
}

export function openFile(path: PathName, flags: number, window: ReorderWindow): OpenFile {
  const has = (flag: keyof typeof openFlag): boolean => (flags & openFlag[flag]) !== 0
  let read: Side | undefined
  let write: Side | undefined
  let endsAt = Number.POSITIVE_INFINITY
  let size: number | undefined
  let attributes: FileAttributes | undefined
  let source: PathName | undefined
  /** Why there is more to it than what is written; the first reason counts. */
  let doubt: Unhashed | undefined = has('append') ? 'appended' : undefined
  // Without `create`, servers pass on `exclusive` to where it means nothing.
  const length = fileLength(has('write') && (has('truncate') || (has('create') && has('exclusive'))))
  const reading = (): Side => {
    read ??= createSide(window)
    return read
  }
  const writing = (): Side => {
    if (write) return write
    write = createSide(window)
    if (doubt) write.content.spoil(doubt)
    return write
  }
  const doubtIt = (why: Unhashed): void => {
    doubt ??= why
    write?.content.spoil(doubt)
  }

  const downloaded = (closed: boolean): FileReport => {
    const side = reading()
    const isWhole = (bytes: number): boolean => side.used && (bytes >= endsAt || bytes === size)
    return {direction: 'download', path, ...side.report(closed, isWhole)}
  }
  const uploaded = (closed: boolean): FileReport => {
    const side = writing()
    const whole = side.content.whole()
    const unsure = doubt ?? length.doubt(whole ?? 0)
    // With gaps there is a better reason.
    if (unsure && whole !== undefined) side.content.spoil(unsure)
    return {
      ...{direction: 'upload', path, ...side.report(closed, () => unsure === undefined)},
      ...(attributes && {attributes}),
      ...(source && {copiedFrom: source}),
    }
  }

  return {
    path,
    direction: directionOf(flags),
    asksToRead: () => reading().asks(),
    reads(offset, bytes) {
      // It has grown since its end was seen.
      if (offset + bytes.length > endsAt) endsAt = Number.POSITIVE_INFINITY
      reading().passes(bytes.length)
      reading().content.add(offset, bytes)
    },
    readAnswered: error => reading().answered(error),
    endsAt(offset) {
      endsAt = Math.min(endsAt, offset)
    },
    hasSize(known) {
      size = known
    },
    asksToWrite: () => writing().asks(),
    writes: (offset, bytes) => writing().content.add(offset, bytes),
    writeAnswered(bytes, error) {
      writing().answered(error)
      if (error === undefined) writing().passes(bytes)
    },
    asksForLength(asked) {
      length.asked(asked, write?.content.end ?? 0)
    },
    lengthAnswered: length.answered,
    attributesSet(set) {
      attributes = {...attributes, ...set}
    },
    asksToCopy() {
      writing().used = true
      doubtIt('copied on the host')
    },
    copiedFrom(from) {
      source = from
    },
    changedMeanwhile: () => doubtIt('changed meanwhile'),
    conclude(how, error) {
      const closed = how === 'closed' && error === undefined
      const upload = directionOf(flags) === 'upload' || write !== undefined
      for (const side of [read, write]) if (how === 'lost') side?.content.spoil('not followed')
      const reports: FileReport[] = []
      if (read || !upload) reports.push(downloaded(closed))
      if (upload) reports.push(uploaded(closed))
      else if (attributes && reports[0]) reports[0].attributes = attributes
      if (error !== undefined) for (const each of reports) each.error ??= error
      return reports
    },
  }
}
