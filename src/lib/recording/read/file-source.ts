import {createReadStream} from 'node:fs'
import {isMissing} from '../../durable/index.js'
import {problem} from '../../errors/index.js'

/** Bytes of a recording file of the user's own. Throws `not_found`, or `recording_unavailable` where it cannot be read. */
export async function* readFileBytes(path: string): AsyncGenerator<Uint8Array> {
  try {
    yield* createReadStream(path) as AsyncIterable<Buffer>
  } catch (cause) {
    if (isMissing(cause))
      throw problem('not_found', `there is no file ${path}`, {
        hint: 'name a session ID as `sallyport recordings ls` shows it, or a file',
        cause,
      })
    throw problem('recording_unavailable', `the file ${path} cannot be read`, {cause})
  }
}
