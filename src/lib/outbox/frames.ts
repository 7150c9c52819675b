import {createHash} from 'node:crypto'

// A file of the spool is a row of frames: length of the body (u32), check (8 bytes), digest (32 bytes), body.
//   check  = sha256(previous digest ‖ length), its first 8 bytes
//   digest = sha256(previous digest ‖ length ‖ body)
// The check tells a frame that a crash cut off from one whose length is not what was written.

export const FRAME_BYTES = 44
const CHECK_BYTES = 8

/** A chunk of a recording is at most 8 MiB, an event half a MiB. */
export const BODY_BYTES = 8 * 1024 * 1024 + 64 * 1024

/** The digest before the first frame: a file that stands in the place of another one does not pass for it. */
export const seed = (lane: string, segment: number): Buffer =>
  createHash('sha256').update(`sallyport-spool-1 ${lane} ${segment}`).digest()

export function encodeFrame(previous: Buffer, body: Buffer): {bytes: Buffer; digest: Buffer} {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(body.length)
  const digest = createHash('sha256').update(previous).update(length).update(body).digest()
  return {bytes: Buffer.concat([length, checkOf(previous, length), digest, body]), digest}
}

export type FrameHead = {ok: true; length: number} | {ok: false; reason: string}

/** Reads the beginning of a frame, FRAME_BYTES of it. */
export function readFrameHead(previous: Buffer, head: Buffer): FrameHead {
  const length = head.subarray(0, 4)
  if (!checkOf(previous, length).equals(head.subarray(4, 4 + CHECK_BYTES)))
    return {ok: false, reason: 'its length is not what was written'}
  const bytes = length.readUInt32BE()
  if (bytes === 0 || bytes > BODY_BYTES) return {ok: false, reason: 'its length is impossible'}
  return {ok: true, length: bytes}
}

/** The digest of the frame; undefined where the body is not the one that was written. */
export function digestOf(previous: Buffer, head: Buffer, body: Buffer): Buffer | undefined {
  const digest = createHash('sha256').update(previous).update(head.subarray(0, 4)).update(body).digest()
  return digest.equals(head.subarray(4 + CHECK_BYTES, FRAME_BYTES)) ? digest : undefined
}

const checkOf = (previous: Buffer, length: Buffer): Buffer =>
  createHash('sha256').update(previous).update(length).digest().subarray(0, CHECK_BYTES)
