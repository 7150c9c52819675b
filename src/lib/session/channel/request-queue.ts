import {problem, type SallyportError} from '../../errors/index.js'
import type {ChannelRequest} from '../../ssh/index.js'

/** OpenSSH with `SendEnv *` sends a shell's whole environment at once. */
const maxQueued = 1024
/** The environment of a process on Linux is smaller than this unless somebody tries. */
const maxQueuedBytes = 1024 * 1024
/** So many requests that want no reply may be on their way to the target at once. */
const barrierEvery = 64

export interface RequestQueue {
  push(request: ChannelRequest): void
}

export interface RequestQueueOptions {
  /** Resolves when the target has dealt with everything that was sent to it. */
  barrier(): Promise<void>
  /** Called once, when the client sends faster than anybody deals with it; the rest is refused. */
  onFlood(error: SallyportError): void
}

/**
 * Handles the requests of a session one after the other. SSH has no flow control for requests, and those that want no
 * reply never wait: so what waits here is bounded, and a target is asked from time to time whether it keeps up.
 * @param handle answers the request; must not reject
 */
export function requestQueue(
  handle: (request: ChannelRequest) => Promise<void>,
  {barrier, onFlood}: RequestQueueOptions,
): RequestQueue {
  const waiting: ChannelRequest[] = []
  let bytes = 0
  let unconfirmed = 0
  let busy = false
  let flooded = false

  const work = async (): Promise<void> => {
    busy = true
    for (let request = waiting.shift(); request; request = waiting.shift()) {
      bytes -= request.data.length
      await handle(request)
      if (request.wantReply || ++unconfirmed < barrierEvery) continue
      unconfirmed = 0
      await barrier()
    }
    busy = false
  }
  return {
    push(request) {
      if (flooded) return request.reply(false)
      if (waiting.length >= maxQueued || bytes + request.data.length > maxQueuedBytes) {
        flooded = true
        waiting.length = 0
        request.reply(false)
        return onFlood(problem('limit_exceeded', 'the session received more requests than can be dealt with'))
      }
      waiting.push(request)
      bytes += request.data.length
      if (!busy) void work()
    },
  }
}
