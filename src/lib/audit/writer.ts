import {systemErrorWords} from '../durable/index.js'
import {problem, SallyportError} from '../errors/index.js'
import type {Appender} from './appender.js'
import type {Arrival, Batch, Chain} from './chain.js'
import type {AuditEvent} from './event.js'
import type {ChainHead} from './head.js'
import {BATCH_RECORDS} from './limits.js'
import {HEAD_MS} from './signed-head.js'

export interface WriterOptions {
  appender: Appender
  chain: Chain
  /** Unix ms. */
  now: () => number
  /** Told of each signed head that is durable. */
  onSigned: ((head: ChainHead) => void) | undefined
  /** Told where one could not be written; it is tried again. */
  onProblem: ((error: SallyportError) => void) | undefined
}

/** Writes what arrives in its order; what comes while a write is under way shares the next one. */
export interface Writer {
  /** Resolves to the record when it is durable. @throws store_failed, audit_corrupt, unavailable after `close` */
  add(arrival: Arrival): Promise<AuditEvent>
  /** Signs the end of the log where that is new. Never fails: it is tried again in time. */
  signHead(): Promise<void>
  /** Writes what has arrived, and a signed head behind it. */
  close(): Promise<void>
}

interface Waiting extends Arrival {
  resolve: (event: AuditEvent) => void
  reject: (error: SallyportError) => void
}

export function createWriter({appender, chain, now, onSigned, onProblem}: WriterOptions): Writer {
  const queue: Waiting[] = []
  let draining: Promise<void> | undefined
  let closed = false
  let isHeadWanted = false
  let headTimer: NodeJS.Timeout | undefined

  const write = async (batch: Batch, received: number): Promise<void> => {
    const day = new Date(received).toISOString().slice(0, 10)
    await appender.append(batch.text, chain.head.sequence + 1, day)
    chain.commit(batch)
  }

  // The chain is built here and not in `add`: a batch that fails must leave no trace in what follows.
  const writeNext = async (): Promise<void> => {
    const signAt = isHeadWanted ? now() : undefined
    isHeadWanted = false
    // What cannot even be built is not tried for ever.
    const waiting = queue.splice(0, BATCH_RECORDS)
    try {
      const batch = chain.build(waiting, signAt)
      queue.unshift(...waiting.splice(batch.events.length))
      await write(batch, waiting[0]?.received ?? signAt ?? now())
      waiting.forEach(({resolve}, i) => {
        resolve(batch.events[i] as AuditEvent)
      })
      if (batch.signed) noteSigned(batch.signed)
    } catch (cause) {
      const error = writeFailure(cause)
      for (const {reject} of waiting) reject(error)
      if (signAt !== undefined) onProblem?.(error)
    }
  }

  const noteSigned = (head: ChainHead): void => {
    clearTimeout(headTimer)
    headTimer = undefined
    onSigned?.(head)
  }

  const drain = async (): Promise<void> => {
    // A turn for what is added in the same tick to join.
    await Promise.resolve()
    while (queue.length > 0 || isHeadWanted) await writeNext()
    draining = undefined
    awaitHead()
  }

  const signHead = async (): Promise<void> => {
    isHeadWanted = chain.isUnsigned
    draining ??= drain()
    await draining
  }

  /** What nothing follows is signed in time, too. */
  const awaitHead = (): void => {
    if (closed || !chain.isUnsigned) return
    headTimer ??= setTimeout(() => {
      headTimer = undefined
      void signHead()
    }, HEAD_MS).unref()
  }

  return {
    add: arrival =>
      new Promise((resolve, reject) => {
        if (closed) return reject(problem('unavailable', 'the audit log is closed'))
        queue.push({...arrival, resolve, reject})
        draining ??= drain()
      }),
    signHead,
    async close() {
      closed = true
      clearTimeout(headTimer)
      await draining
      await signHead()
    },
  }
}

const writeFailure = (cause: unknown): SallyportError =>
  cause instanceof SallyportError
    ? cause
    : problem('store_failed', `the audit log cannot be written: ${systemErrorWords(cause)}`, {cause})
