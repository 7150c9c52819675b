import {giveBackRoom, takeRoom} from './packet-room.js'
import type {PacketDecipher, Ssh2Protocol} from './ssh2-protocol.js'

const lengthBytes = 4

/** ssh2's parser, one packet at a time, with rooms for the packets that come in several reads. */
export interface PacketParser {
  /**
   * Parses up to the end of the first packet, or what there is of it.
   * @param lent whether `chunk` may be used again when this returns
   * @returns where to go on; Infinity when all is consumed
   */
  parse(chunk: Buffer, from: number, lent: boolean): number
  /** The payload of a packet has been handled, and what was wanted of it is copied. */
  handled(payload: Buffer): void
}

/**
 * Left to itself ssh2 allocates for each packet that comes in more than one read, which inside of a channel is every
 * one. Packets only differ from what it would do in where they are put together.
 * @param protocol must stop behind each message (`_onPayload` returns false)
 */
export function packetParser(protocol: Ssh2Protocol): PacketParser {
  /** Where the packet is put together that is coming, or being handled. */
  let room: Buffer | undefined

  const step = (chunk: Buffer, from: number, end: number): number =>
    protocol._parse(chunk, from, end) ?? Number.POSITIVE_INFINITY

  /** Returns where to go on in `chunk`, and there is more of it only when the length is known. */
  const parseLength = (chunk: Buffer, from: number): number => {
    if (knowsLength(protocol._decipher)) return from
    const end = Math.min(from + lengthBytes, chunk.length)
    return Math.min(step(chunk, from, end), end)
  }

  const prepare = (decipher: PacketDecipher, available: number): void => {
    if (decipher._packet || decipher._len <= available || !knowsLength(decipher)) return
    room = takeRoom(decipher._len)
    if (room) decipher._packet = room
  }

  /** A packet that has come whole but for its MAC is left where it came. */
  const keepBegun = (decipher: PacketDecipher, chunk: Buffer): void => {
    const begun = decipher._packet
    if (begun?.buffer !== chunk.buffer) return
    room = takeRoom(begun.length)
    const kept = room ?? Buffer.allocUnsafe(begun.length)
    kept.set(begun)
    decipher._packet = kept
  }

  return {
    parse(chunk, from, lent) {
      if (!lent) return step(chunk, from, chunk.length)
      const at = parseLength(chunk, from)
      if (at >= chunk.length) return Number.POSITIVE_INFINITY
      prepare(protocol._decipher, chunk.length - at)
      const next = step(chunk, at, chunk.length)
      keepBegun(protocol._decipher, chunk)
      return next
    },
    handled(payload) {
      if (!room || payload.buffer !== room.buffer) return
      giveBackRoom(room)
      room = undefined
    },
  }
}

/** Each of ssh2's deciphers counts the bytes of the length that it has seen in a field of its own. */
const knowsLength = ({_lenBytes, _lenPos, _blockPos}: PacketDecipher): boolean =>
  (_lenBytes ?? _lenPos ?? _blockPos) === lengthBytes
