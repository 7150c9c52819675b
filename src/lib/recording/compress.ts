import {promisify} from 'node:util'
import {constants, gzip as gzipCallback} from 'node:zlib'

const gzip = promisify(gzipCallback)

/** Below this size every way is fast enough. */
const largeCharacters = 512 * 1024
/** Text, and most that a terminal shows, compresses better than this. */
const worthwhileRatio = 2
/** After this many chunks without the search for repetitions, one is tried with it again. */
const retryEvery = 8

const thorough = {level: 1, memLevel: 9, chunkSize: 128 * 1024}
/** A fifth of the time on data without repetitions, at the same size. */
const codesOnly = {...thorough, strategy: constants.Z_HUFFMAN_ONLY}

/**
 * Makes gzip members of the chunks of one recording. A stream that does not shrink, such as a dump of base64, is
 * compressed without searching for repetitions, for otherwise the search is what a bulk transfer waits for.
 */
export function createCompressor(): (text: string) => Promise<Buffer> {
  let fastLeft = 0
  return async text => {
    const fast = fastLeft > 0 && text.length >= largeCharacters
    const member = await gzip(text, fast ? codesOnly : thorough)
    if (fast) fastLeft--
    else fastLeft = text.length / member.length < worthwhileRatio ? retryEvery : 0
    return member
  }
}
