import {problem} from '../errors/index.js'

/** RFC 4253 §9 recommends new keys after a gigabyte or an hour. */
export const defaultRekeyLimits: RekeyLimits = {bytes: 1024 ** 3, milliseconds: 3_600_000}

/** A key exchange after less than this many bytes and milliseconds was for nothing. */
const wastefulBytes = 16 * 1024
const wastefulMilliseconds = 10_000
/** Each exchange costs us about 2 ms of CPU, so a peer that keeps asking for them is stopped. */
const maxWasted = 32

export interface RekeyLimits {
  bytes: number
  milliseconds: number
}

export interface RekeyPolicy {
  /** Bytes went one way or the other. */
  count(bytes: number): void
  /** New keys are due. */
  due(): boolean
  /** Keys were exchanged. @throws limit_exceeded when the peer does so over and over for nothing */
  exchanged(): void
}

/** @param now milliseconds, monotonic */
export function rekeyPolicy(limits: RekeyLimits, now: () => number): RekeyPolicy {
  let bytes = 0
  let since = now()
  let wasted = 0
  return {
    count(more) {
      bytes += more
    },
    due: () => bytes >= limits.bytes || (bytes > 0 && now() - since >= limits.milliseconds),
    exchanged() {
      const wasteful = bytes < wastefulBytes && now() - since < wastefulMilliseconds
      wasted = wasteful ? wasted + 1 : 0
      bytes = 0
      since = now()
      if (wasted > maxWasted) throw problem('limit_exceeded', 'the peer exchanges keys over and over')
    },
  }
}
