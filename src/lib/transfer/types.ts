/** A path or name as it went over the wire: bytes, mostly UTF-8. */
export interface PathName {
  /** Bytes that are not UTF-8 appear as U+FFFD; cut to what an event holds. */
  text: string
  /** Base64 of the bytes where the text does not say all of them. */
  bytes?: string
}

export type Direction = 'download' | 'upload'

/** Why there is no hash of a file. */
export type Unhashed =
  /** The pieces came so far out of order, or twice, or with gaps. */
  | 'not in order'
  /** Not from its first byte on, as when a broken transfer is resumed. */
  | 'not from the start'
  /** Appended to what the host had. */
  | 'appended'
  /** Written into a file that was not empty, and nobody said how long it is now. */
  | 'over what was there'
  /** The file was made shorter than what was written, or longer. */
  | 'another length was set'
  /** By its path or through another handle, while it was open. */
  | 'changed meanwhile'
  /** The other side refused some of it, or did not answer any more. */
  | 'not confirmed'
  /** Copied on the host, so the bytes were not seen. */
  | 'copied on the host'
  /** Nothing was read or written. */
  | 'nothing passed'
  /** The protocol could not be followed to the end. */
  | 'not followed'

/** What was set of a file's attributes. */
export interface FileAttributes {
  size?: number
  uid?: number
  gid?: number
  /** Octal, `0755`. */
  permissions?: string
  /** Unix seconds. */
  modified?: number
}

/** What became of one file, told once. */
export interface FileReport {
  direction: Direction
  path: PathName
  /** scp: the name that was sent, with the directories in front of it. */
  name?: PathName
  /** Bytes that passed; of an upload those that the host confirmed. */
  bytes: number
  /** All of the file has passed, from its first byte to its end, and both sides say that it is done. */
  complete: boolean
  /** Hex, over the bytes that passed. */
  sha256?: string
  unhashed?: Unhashed
  /** What went wrong, in the words of the host or of the client. */
  error?: string
  /** The file was not even opened, as far as is known. */
  refused?: true
  /** Attributes that were set through the open file. */
  attributes?: FileAttributes
  copiedFrom?: PathName
}

export type Operation =
  | 'setstat'
  | 'fsetstat'
  | 'opendir'
  | 'remove'
  | 'mkdir'
  | 'rmdir'
  | 'rename'
  | 'symlink'
  | 'link'
  /** A request that is not known here; its name stands for a path. */
  | 'extended'

/** What a client did besides moving content, told once it is answered, or at the end. */
export interface OperationReport {
  operation: Operation
  path: PathName
  /** New name, or where a link leads. */
  target?: PathName
  attributes?: FileAttributes
  error?: string
  /** The session ended before the host said anything: it may well have been done. */
  unanswered?: true
}

/** Told as things happen. None of these may throw. */
export interface TransferReports {
  /** A file is open; by its number, which no other of this transfer has, it is told of again. */
  opened?(id: number, file: Pick<FileReport, 'direction' | 'path' | 'name'>): void
  /** @param id of a file that was open */
  file(report: FileReport, id?: number): void
  /** All about it was told. */
  closed?(id: number): void
  operation(report: OperationReport): void
  /** The protocol cannot be followed any more: nothing comes after this. Told at most once. */
  lost(reason: string): void
}

/**
 * Follows a file transfer by the bytes of both directions, each to be shown before it is passed on. Never throws and
 * never keeps content; what it keeps else is bounded.
 */
export interface TransferParser {
  fromClient(bytes: Buffer): void
  /** Returns what of the bytes is no file content and no bare answer: what a recording should show. */
  fromHost(bytes: Buffer): Buffer
  /** The session is over: files that are still open are told of. Idempotent. */
  end(): void
}
