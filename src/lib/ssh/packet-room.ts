import {randomFillSync} from 'node:crypto'
import {maxPayload, type PacketCipher} from './ssh2-protocol.js'

/** RFC 4253 §6: the length of the packet, then the length of its padding. */
const headerBytes = 5
const minPadding = 4
/** No cipher that is offered has longer blocks; what fits these fits shorter ones too. */
const blockBytes = 16
const maxMac = 64
const roomBytes = headerBytes + maxPayload + minPadding + blockBytes + maxMac
/** Smaller ones come out of Node's own pool, which makes no garbage to speak of. */
const smallest = Buffer.poolSize / 2
/** Kept for the next packets of any connection: two megabytes. */
const maxSpare = 64
const spare: ArrayBuffer[] = []

/** Each byte of it is used once. */
const random = Buffer.allocUnsafeSlow(4096)
let randomUsed = random.length

/**
 * A buffer that is used again; undefined where a new one is as good. New ones for every piece of a bulk transfer would
 * not be much work in themselves, but Node counts them as memory in use until they are collected as garbage, and
 * collects all the sooner: that took up to three quarters of the processor time of a busy proxy.
 */
export function takeRoom(length: number): Buffer | undefined {
  if (length < smallest || length > roomBytes) return undefined
  return Buffer.from(spare.pop() ?? new ArrayBuffer(roomBytes), 0, length)
}

/** Nobody looks any more at a buffer, wherever it came from. Called at most once for each. */
export function giveBackRoom({buffer}: Buffer): void {
  const ours = buffer.byteLength === roomBytes
  if (ours && spare.length < maxSpare) spare.push(buffer as ArrayBuffer)
}

/** Makes a packet of one connection that lacks nothing but its payload; undefined where that is too long. */
export type PacketMaker = (cipher: PacketCipher, payloadLength: number) => Buffer | undefined

export function packetMaker(): PacketMaker {
  let measured: PacketCipher | undefined
  let remainder = 0
  let macLength = 0

  /** How a cipher lays its packets out shows in any one of them: lengths differ by whole blocks. */
  const measure = (cipher: PacketCipher): void => {
    const packet = cipher.allocPacket(0)
    const length = packet.readUInt32BE(0)
    remainder = length % blockBytes
    macLength = packet.length - 4 - length
    measured = cipher
  }
  return (cipher, payloadLength) => {
    if (payloadLength > maxPayload) return undefined
    if (measured !== cipher) measure(cipher)
    const least = 1 + payloadLength + minPadding
    const padding = minPadding + ((((remainder - least) % blockBytes) + blockBytes) % blockBytes)
    const length = 1 + payloadLength + padding
    const bytes = 4 + length + macLength
    const packet = takeRoom(bytes) ?? Buffer.allocUnsafe(bytes)
    packet.writeUInt32BE(length, 0)
    packet[4] = padding
    pad(packet, headerBytes + payloadLength, padding)
    return packet
  }
}

/** RFC 4253 §6 wants it random. */
function pad(packet: Buffer, at: number, length: number): void {
  if (randomUsed + length > random.length) {
    randomFillSync(random)
    randomUsed = 0
  }
  random.copy(packet, at, randomUsed, randomUsed + length)
  randomUsed += length
}
