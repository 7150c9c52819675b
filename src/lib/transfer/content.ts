import {createHash, type Hash} from 'node:crypto'
import type {Unhashed} from './types.js'

/** Pieces of a file that came before their turn wait in here; shared by all files of a session. */
export interface ReorderWindow {
  /** Bytes that may still be kept. */
  left: number
}

/** sftp clients that ask for many pieces at once get them in order, or nearly so. */
export const reorderWindow = (): ReorderWindow => ({left: 1024 * 1024})

/** More separate parts than this are read at random: nobody will say that all of it has passed. */
const maxParts = 64

/** What passed of one file in one direction. */
export interface Content {
  /** `offset` in bytes. The bytes may be reused after the call. */
  add(offset: number, bytes: Buffer): void
  /** There will be no hash, for this reason. */
  spoil(reason: Unhashed): void
  /** Bytes that passed without a gap from the first one on, and nothing beyond them; undefined otherwise. */
  whole(): number | undefined
  /** Where the furthest piece ends. */
  readonly end: number
  /** Ends it. */
  finish(): {sha256: string} | {unhashed: Unhashed}
}

/** Hashes what comes in order from offset 0, and keeps account of which parts have come. */
export function createContent(window: ReorderWindow): Content {
  let hash: Hash | undefined = createHash('sha256')
  let next = 0
  let end = 0
  let reason: Unhashed | undefined
  let early: {offset: number; bytes: Buffer}[] = []
  const parts = createParts()

  const spoil = (why: Unhashed): void => {
    reason ??= why
    hash = undefined
    for (const {bytes} of early) window.left += bytes.length
    early = []
  }
  const take = (bytes: Buffer): void => {
    hash?.update(bytes)
    next += bytes.length
  }
  const takeEarly = (): void => {
    for (let first = early[0]; first && first.offset <= next; first = early[0]) {
      if (first.offset < next) return spoil('not in order')
      early.shift()
      window.left += first.bytes.length
      take(first.bytes)
    }
  }
  const keepEarly = (offset: number, bytes: Buffer): void => {
    if (bytes.length > window.left) return spoil(next === 0 ? 'not from the start' : 'not in order')
    window.left -= bytes.length
    const at = early.findIndex(piece => piece.offset > offset)
    early.splice(at < 0 ? early.length : at, 0, {offset, bytes: Buffer.from(bytes)})
  }
  return {
    add(offset, bytes) {
      if (bytes.length === 0) return
      const to = offset + bytes.length
      parts.add(offset, to)
      if (to > end) end = to
      if (reason) return
      if (offset > next) return keepEarly(offset, bytes)
      if (offset < next) return spoil('not in order')
      take(bytes)
      if (early.length > 0) takeEarly()
    },
    spoil,
    whole: parts.whole,
    get end() {
      return end
    },
    finish() {
      if (early.length > 0) spoil(next === 0 ? 'not from the start' : 'not in order')
      const sha256 = hash?.digest('hex')
      hash = undefined
      return sha256 === undefined ? {unhashed: reason ?? 'not in order'} : {sha256}
    },
  }
}

/** Ranges of a file, `from` included, `to` excluded; merged where they touch. */
function createParts(): {add(from: number, to: number): void; whole(): number | undefined} {
  let parts: {from: number; to: number}[] = []
  let tooMany = false
  const merge = (from: number, to: number): void => {
    const apart = parts.filter(part => part.to < from || part.from > to)
    const touching = parts.filter(part => part.to >= from && part.from <= to)
    parts = [
      ...apart,
      {
        from: Math.min(from, ...touching.map(part => part.from)),
        to: Math.max(to, ...touching.map(part => part.to)),
      },
    ]
    tooMany = parts.length > maxParts
    if (tooMany) parts = []
  }
  return {
    add(from, to) {
      const [only] = parts
      if (only && parts.length === 1 && only.to === from) only.to = to
      else if (!tooMany) merge(from, to)
    },
    whole() {
      const [first] = parts
      if (tooMany || parts.length > 1) return undefined
      return first === undefined ? 0 : first.from === 0 ? first.to : undefined
    },
  }
}
