import type {HostRecord} from '../access/hosts.js'
import {asProblem, problemLine} from '../errors/index.js'
import type {Log} from '../session/index.js'
import type {NodeAuth} from './types.js'

/** A node that was not heard of for so long is not there. */
const heartbeatTtlMilliseconds = 10 * 60_000
/** After a heartbeat that did not get through. */
const retryMilliseconds = 15_000

/** Milliseconds until the next heartbeat: half the TTL and up to a tenth more, so that a fleet does not beat as one. Pure. */
export const heartbeatPause = (random: number): number =>
  Math.round(heartbeatTtlMilliseconds / 2 + random * (heartbeatTtlMilliseconds / 10))

export interface HeartbeatOptions {
  auth: Pick<NodeAuth, 'heartbeat'>
  /** The node as it is now. */
  record(): HostRecord
  /** Whatever else has to be kept fresh; called with each heartbeat that got through. */
  onBeat(): Promise<void>
  log: Log
  /** [0, 1) */
  random?: () => number
}

export interface Heartbeat {
  close(): void
}

/** Tells the cluster that the node is there, at once and from then on; resolves when that was tried once. */
export async function startHeartbeat(options: HeartbeatOptions): Promise<Heartbeat> {
  const {auth, record, onBeat, log, random = Math.random} = options
  let timer: NodeJS.Timeout | undefined
  let closed = false
  const beat = async (): Promise<number> => {
    try {
      await auth.heartbeat(record())
      await onBeat()
      return heartbeatPause(random())
    } catch (error) {
      log.warn({error: problemLine(asProblem(error))}, 'the cluster was not told that this node is there')
      return retryMilliseconds
    }
  }
  const next = async (): Promise<void> => {
    const pause = await beat()
    if (!closed) timer = setTimeout(() => void next(), pause).unref()
  }
  await next()
  return {
    close() {
      closed = true
      clearTimeout(timer)
    },
  }
}
