import {randomBytes} from 'node:crypto'
import type {Backend} from '../backend/index.js'
import {problem} from '../errors/index.js'
import {createTurn} from '../waiting/index.js'

/** Serials to come out in one millisecond, on average, before they run ahead of the clock. */
const perMillisecondBits = 22n
/** Serials are reserved on disk this far ahead, so that most of them cost no write. */
const reservedMilliseconds = 60_000n
/** Steps between serials of one process are random: those of a restored backup then differ from the lost ones. */
const maxStep = 2 ** 16
/** So far above a mark that is ahead of the clock a process begins, at random: a backup restored at once has the same mark. */
const jumpBytes = 5
const maxJump = 1n << 36n

const itemKey = 'authorities/serials'
const maxAttempts = 100

export interface Serials {
  /** A certificate serial, 64 bits, greater than every one before it. */
  next(): Promise<bigint>
}

/**
 * Serials that never repeat. They grow with the clock (Unix ms in the upper 42 bits, good until 2109), random below:
 * so an old backup, which knows nothing of later serials, goes on above them. A clock that was set back changes
 * nothing, because what was handed out is reserved on disk first, and the next serial lies above the reservation.
 */
export function createSerials(
  backend: Backend,
  now: () => number,
  random: (bytes: number) => Buffer = randomBytes,
): Serials {
  let last = 0n
  let reserved = 0n
  const inTurn = createTurn()

  const fromClock = (): bigint =>
    (BigInt(Math.max(0, Math.floor(now()))) << perMillisecondBits) |
    BigInt(random(3).readUIntBE(0, 3) >>> (24 - Number(perMillisecondBits)))

  const jump = (): bigint => BigInt(random(jumpBytes).readUIntBE(0, jumpBytes)) % maxJump

  /** Moves the mark on disk above `wanted` and above what anybody reserved before; resolves to the start. */
  const reserve = async (wanted: bigint): Promise<bigint> => {
    for (let attempt = 0; attempt < maxAttempts; attempt++) {
      const item = await backend.get(itemKey)
      const mark = item ? readMark(item.value) : 0n
      const start = wanted > mark ? wanted : mark + 1n + jump()
      const end = start + (reservedMilliseconds << perMillisecondBits)
      if (end >= 1n << 64n) throw problem('clock_skew', "the server's clock is beyond the year 2109")
      const value = Buffer.from(end.toString())
      const written = item
        ? await backend.cas(itemKey, item.revision, value)
        : await backend.create(itemKey, value)
      if (written === undefined) continue
      reserved = end
      return start
    }
    throw problem('unavailable', 'serial numbers are being reserved by too many at once', {hint: 'try again'})
  }

  const take = async (): Promise<bigint> => {
    const step = 1n + BigInt(random(2).readUInt16BE(0) % maxStep)
    const clock = fromClock()
    const wanted = clock > last ? clock : last + step
    last = wanted < reserved ? wanted : await reserve(wanted)
    return last
  }

  return {next: () => inTurn(take)}
}

function readMark(value: Buffer): bigint {
  const text = value.toString('utf8')
  if (/^\d{1,20}$/.test(text)) return BigInt(text)
  throw problem('store_failed', 'the stored mark of certificate serials cannot be read')
}
