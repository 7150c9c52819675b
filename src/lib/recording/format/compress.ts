import {promisify} from 'node:util'
import {constants, deflateRaw as deflateRawCallback} from 'node:zlib'

const deflateRaw = promisify(deflateRawCallback)

/** Below this size every way is fast enough. */
const largeBytes = 512 * 1024
/** Text, and most that a terminal shows, compresses better than this. */
const worthwhileRatio = 2
/** After this many chunks without the search for repetitions, one is tried with it again. */
const retryEvery = 8

/** On the lines of a log a window of 8 kB takes a tenth less time than the largest, and finds nearer repetitions. */
const thorough = {level: 1, memLevel: 9, windowBits: 13, chunkSize: 256 * 1024}
/** A fifth of the time on data without repetitions, at the same size. */
const codesOnly = {...thorough, strategy: constants.Z_HUFFMAN_ONLY}

/**
 * Deflates (RFC 1951) the chunks of one recording, on the thread pool; several may be under way at once. A stream that
 * does not shrink, such as a dump of base64, is compressed without searching for repetitions, for otherwise the search
 * is what a bulk transfer waits for.
 */
export function createCompressor(): (body: Buffer) => Promise<Buffer> {
  let fastLeft = 0
  return async body => {
    const fast = fastLeft > 0 && body.length >= largeBytes
    if (fast) fastLeft--
    const deflated = await deflateRaw(body, fast ? codesOnly : thorough)
    if (!fast) fastLeft = body.length / deflated.length < worthwhileRatio ? retryEvery : 0
    return deflated
  }
}
