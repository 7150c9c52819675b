import {maxHandleBytes, type PacketPlan, packetType, unreadable} from './packets.js'

/** Of an answer: a handle of the longest kind, the beginning of a message. */
const answerBytes = 1024

/** How much is looked at of what a client sends. */
export const requestPlan = (type: number): PacketPlan => {
  if (type === packetType.write) return {look: 'data', head: writeHead}
  const isKnown = (type >= packetType.open && type <= packetType.symlink) || type === packetType.extended
  return isKnown ? {look: 'whole'} : {look: 'start', bytes: 4}
}

/** ID, handle, offset, length. */
const writeHead = (body: Buffer): number => {
  if (body.length < 8) return 8
  const handle = body.readUInt32BE(4)
  if (handle > maxHandleBytes) throw unreadable('a handle is longer than 256 bytes')
  return 20 + handle
}

const answerTypes: ReadonlySet<number> = new Set([
  ...[packetType.version, packetType.status, packetType.handle, packetType.name],
  ...[packetType.attributes, packetType.extendedReply],
])

/** How much is looked at of what a host sends. @throws protocol_error for what no host sends */
export const answerPlan = (type: number): PacketPlan => {
  if (type === packetType.data) return {look: 'data', head: () => 8}
  if (!answerTypes.has(type)) throw unreadable('what the host says is not SFTP')
  return {look: 'start', bytes: answerBytes}
}
