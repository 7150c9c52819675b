import {type LogFile, readLinesBackward} from './files.js'

/**
 * So many records are known by their uid: those before may be recorded again. An emitter sends an event again when the
 * answer was lost, which is at its next attempt; between the two the whole cluster would have to emit this many.
 */
export const RECENT_UIDS = 100_000

/** As far back as records are looked at when the log was opened: about as many as are kept. */
const TAIL_BYTES = 64 * 1024 * 1024

/** Uids of the last records by their place in the log, the oldest forgotten first. */
export interface RecentUids {
  /** The `seq` of the record. */
  get(uid: string): number | undefined
  add(uid: string, seq: number): void
}

/** Reads them from the end of the log; `end` is how much of the last file is durable. */
export async function readRecentUids(files: LogFile[], end?: number): Promise<RecentUids> {
  const known: [uid: string, seq: number][] = []
  for await (const entry of backward(files, end)) {
    known.push(entry)
    if (known.length >= RECENT_UIDS) break
  }
  const places = new Map(known.reverse())
  return {
    get: uid => places.get(uid),
    add(uid, seq) {
      places.delete(uid)
      places.set(uid, seq)
      if (places.size <= RECENT_UIDS) return
      const {value: oldest} = places.keys().next()
      if (oldest !== undefined) places.delete(oldest)
    },
  }
}

async function* backward(files: LogFile[], end?: number): AsyncGenerator<[uid: string, seq: number]> {
  let bytes = 0
  for (const file of files.toReversed()) {
    for await (const line of readLinesBackward(file.path, file === files.at(-1) ? end : undefined)) {
      const [, seq, uid] = beginning.exec(line.bytes.toString('latin1', 0, BEGINNING_BYTES)) ?? []
      if (seq !== undefined && uid !== undefined) yield [uid, Number(seq)]
      bytes += line.bytes.length
      if (bytes > TAIL_BYTES) return
    }
  }
}

/** How a record begins, so that the rest of it need not be parsed. */
const beginning = /^\{"seq":(\d+),"prev":"[0-9a-f]{64}","ei":\d+,"event":"[^"]*","uid":"([^"]*)"/
const BEGINNING_BYTES = 320
