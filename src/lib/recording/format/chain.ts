import {createHash} from 'node:crypto'

/** What the first chunk is chained to: 32 zero bytes, in hex. */
export const GENESIS = '00'.repeat(32)

/** Digest of a chunk: hex sha256(previous digest as 32 bytes ‖ the gzip member). */
export const chainDigest = (previous: string, member: Uint8Array): string =>
  createHash('sha256').update(Buffer.from(previous, 'hex')).update(member).digest('hex')
