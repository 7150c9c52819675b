import type {Duplex} from 'node:stream'
import type {SallyportError} from '../errors/index.js'
import {farewellMilliseconds, relay, type ServedClient} from '../session/index.js'
import type {Channel} from '../ssh/index.js'
import {within} from '../waiting/index.js'

export interface CarryOptions {
  /** Everything that a proxy on its way out waits for. */
  running: Set<ServedClient>
  channel: Channel
  stream: Duplex
  /** Before bytes are passed on, either way: told which, where they come from the stream. They are lent. */
  onBytes?(fromStream: Buffer | undefined): void
  /** The stream says no more. The channel is not told so yet: after that nothing can be said on it. */
  onEnd?(): void
  /** The stream is closed. */
  onOver?(): void
  /** Ended from here: says the last word on the channel. Called once. */
  farewell(error: SallyportError): void
}

/** Passes bytes that nobody here can read, until either side ends it or `end` does. */
export function carry({
  channel,
  stream,
  running,
  onBytes = () => undefined,
  onEnd = () => undefined,
  onOver = () => undefined,
  farewell,
}: CarryOptions): ServedClient {
  let over = false
  const passing = splice(channel, stream, {onBytes, onEnd, onOver})
  const served: ServedClient = {
    done: passing.ended.then(() => (over ? lastWordsTaken(channel) : undefined)),
    end(error) {
      if (over) return
      over = true
      passing.cut()
      farewell(error)
    },
  }
  running.add(served)
  void served.done.then(() => running.delete(served))
  return served
}

async function lastWordsTaken(channel: Channel): Promise<void> {
  if (channel.isClosed) return
  await within(farewellMilliseconds, new Promise(resolve => channel.once('close', resolve)), () => undefined)
  channel.close()
}

interface Passing {
  /** Resolves when the stream is closed. */
  ended: Promise<void>
  /** Cuts them apart at once, and leaves the channel open. */
  cut(): void
}

/** Passes bytes between a channel and a stream until both have ended. */
function splice(
  channel: Channel,
  stream: Duplex,
  {onBytes, onEnd, onOver}: Required<Pick<CarryOptions, 'onBytes' | 'onEnd' | 'onOver'>>,
): Passing {
  const ended = new Promise<void>(resolve => {
    if (stream.closed) resolve()
    else stream.once('close', () => resolve())
  })
  channel.stderr.resume()
  let apart = false
  const tellEnd = (told?: () => void): void => {
    onEnd()
    if (!apart) channel.end(told)
  }
  const hangUp = (): void => tellEnd(() => channel.close())
  stream.on('close', onOver)
  if (channel.isClosed) {
    stream.destroy()
    return {ended, cut: () => undefined}
  }
  stream.on('close', hangUp)
  channel.onClosed = () => stream.destroy()
  /** Nothing that a server says passes any more once it was refused. */
  const look = (fromStream?: Buffer): false | undefined => {
    onBytes(fromStream)
    return apart ? false : undefined
  }
  void relay(channel, stream, () => look()).then(() => stream.end())
  void relay(stream, channel, look).then(() => tellEnd())
  return {
    ended,
    cut() {
      apart = true
      stream.off('close', hangUp)
      stream.destroy()
    },
  }
}
