import {type Duplex, finished} from 'node:stream'

/** Time for the peer to take our last bytes and hang up; a stream that is closed earlier may lose them to a reset. */
const lingerMilliseconds = 1000

/** Sends what is pending and the end, then closes the stream as soon as the peer has ended too, at the latest after a second. */
export function endStream(stream: Duplex): void {
  if (stream.destroyed) return
  const timer = setTimeout(() => stream.destroy(), lingerMilliseconds)
  timer.unref()
  finished(stream, () => {
    clearTimeout(timer)
    stream.destroy()
  })
  // What still comes is of no interest, but the end of it is.
  stream.resume()
  stream.end()
}
