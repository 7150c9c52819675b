import {constants} from 'node:fs'
import {rename, rm} from 'node:fs/promises'
import {join} from 'node:path'
import {crc32} from 'node:zlib'
import {ifMissing, syncDirectory} from '../../durable/index.js'
import {openRegular, writeSyncedAt} from '../store/files.js'

// `search.bin` of a day: for each recording that was read, what its screen may have held. Records one after the other,
// the last one of a session counts. It is derived and may be deleted at any time. docs/recording-format.md

export interface SearchEntry {
  sid: string
  /** Bytes of the data file that was read: an entry for another length is out of date. */
  bytes: number
  /** whole: all of it was read. partly: some of it. unreadable: nothing of it. */
  read: 'whole' | 'partly' | 'unreadable'
  signature: Uint8Array
}

/** Of a record: its checksum, its length, then what these are of. */
const HEAD_BYTES = 8
const FACTS_BYTES = 36 + 8 + 1
const MOST_BYTES = 256 * 1024
const BLOCK = 1024 * 1024
const states = ['whole', 'partly', 'unreadable'] as const

const searchFile = (day: string): string => join(day, 'search.bin')

/** The entries of a day in their order, and where the last good one ends; none after the first damage. */
export async function* readSearchFile(day: string): AsyncGenerator<{entry: SearchEntry; end: number}> {
  const handle = await openRegular(searchFile(day), constants.O_RDONLY).catch(ifMissing(undefined))
  if (!handle) return
  try {
    let rest: Buffer = Buffer.alloc(0)
    for (let end = 0; ; ) {
      const block = Buffer.allocUnsafe(BLOCK)
      const {bytesRead} = await handle.read(block, 0, BLOCK, end + rest.length)
      if (bytesRead === 0) return
      rest = Buffer.concat([rest, block.subarray(0, bytesRead)])
      for (;;) {
        const record = takeRecord(rest)
        if (record === 'damaged') return
        if (!record) break
        end += record.length
        rest = rest.subarray(record.length)
        yield {entry: record.entry, end}
      }
    }
  } finally {
    await handle.close()
  }
}

/** Writes an entry at `end` of the file; what was there is gone. Gives the new end. */
export async function appendSearchEntry(day: string, end: number, entry: SearchEntry): Promise<number> {
  const record = encodeSearchEntry(entry)
  const {O_WRONLY, O_CREAT} = constants
  await (await openRegular(searchFile(day), O_WRONLY | O_CREAT)).close()
  await writeSyncedAt(searchFile(day), end, record)
  return end + record.length
}

/** Writes the file anew with the entries of the sessions to keep. A search under way goes on in the old one. */
export async function rewriteSearchFile(day: string, keep: (sid: string) => boolean): Promise<void> {
  const temporary = `${searchFile(day)}.tmp`
  await rm(temporary, {force: true})
  const {O_WRONLY, O_CREAT, O_EXCL} = constants
  const handle = await openRegular(temporary, O_WRONLY | O_CREAT | O_EXCL)
  try {
    for await (const {entry} of readSearchFile(day))
      if (keep(entry.sid)) await handle.writeFile(encodeSearchEntry(entry))
    await handle.sync()
  } finally {
    await handle.close()
  }
  await rename(temporary, searchFile(day))
  await syncDirectory(day)
}

/** An entry as it stands in the file: its checksum, its length, its facts and its signature. */
export function encodeSearchEntry(entry: SearchEntry): Buffer {
  const body = Buffer.alloc(FACTS_BYTES + entry.signature.length)
  body.write(entry.sid, 0, 36, 'latin1')
  body.writeDoubleBE(entry.bytes, 36)
  body.writeUInt8(states.indexOf(entry.read), 44)
  body.set(entry.signature, FACTS_BYTES)
  const head = Buffer.alloc(HEAD_BYTES)
  head.writeUInt32BE(crc32(body), 0)
  head.writeUInt32BE(body.length, 4)
  return Buffer.concat([head, body])
}

function takeRecord(bytes: Buffer): {entry: SearchEntry; length: number} | 'damaged' | undefined {
  if (bytes.length < HEAD_BYTES) return undefined
  const length = bytes.readUInt32BE(4)
  if (length < FACTS_BYTES || length > MOST_BYTES) return 'damaged'
  if (bytes.length < HEAD_BYTES + length) return undefined
  const body = bytes.subarray(HEAD_BYTES, HEAD_BYTES + length)
  const read = states[body.readUInt8(44)]
  if (crc32(body) !== bytes.readUInt32BE(0) || !read) return 'damaged'
  const entry = {
    sid: body.toString('latin1', 0, 36),
    bytes: body.readDoubleBE(36),
    read,
    signature: body.subarray(FACTS_BYTES),
  }
  return {entry, length: HEAD_BYTES + length}
}
