import {problem, SallyportError} from '../../errors/index.js'
import {CHAIN_CODE, eventLine} from '../format/asciicast.js'
import {chainDigest, GENESIS} from '../format/chain.js'
import type {ChunkBody} from '../format/chunk-body.js'
import {createCompressor} from '../format/compress.js'
import {gzipMember} from '../format/gzip-member.js'
import type {RecordingEnd, RecordingMeta, RecordingSink} from '../types.js'

/** Lines that become one gzip member. Milliseconds since the start. */
export interface OpenChunk {
  body: ChunkBody
  firstMs: number
  lastMs: number
}

/** Chunks that are compressed at once. The thread pool has four threads, and others need it, too. */
const compressedAtOnce = 3

export interface ChunkPipeline {
  /** Takes up work, as much as it can do at once. */
  pump(): void
  readonly busy: boolean
  /** Bytes of lines in the chunks that are durable. */
  readonly durable: number
  readonly failed: SallyportError | undefined
  /** Resolves once `met` holds; looked at after every chunk. Rejects when the recording failed. */
  until(met: () => boolean): Promise<void>
  /** Seals after the last chunk. */
  seal(endedAt: number, durationMs: number): Promise<RecordingEnd>
}

/**
 * Takes chunks from `next`, compresses, chains and appends them strictly in order, one `begin` before the first.
 * Chunks are compressed while those before them are compressed or written. The first failure ends it for good.
 */
export function createChunkPipeline(options: {
  meta: RecordingMeta
  sink: RecordingSink
  /** The next closed chunk, undefined when there is none. */
  next: () => OpenChunk | undefined
  onFailure: (error: SallyportError) => void
}): ChunkPipeline {
  const {meta, sink, next, onFailure} = options
  let waiters: {met: () => boolean; resolve: () => void}[] = []
  const compress = createCompressor()
  const compressing: Compressing[] = []
  let busy = false
  let durable = 0
  let sequence = 0
  let head = GENESIS
  let failed: SallyportError | undefined

  const wake = (): void => {
    const all = waiters
    waiters = []
    for (const waiter of all) {
      if (failed || waiter.met()) waiter.resolve()
      else waiters.push(waiter)
    }
  }

  const fail = (cause: unknown): void => {
    if (failed) return
    failed = recordingFailure(cause)
    wake()
    onFailure(failed)
  }

  const until = async (met: () => boolean): Promise<void> => {
    if (!failed && !met()) await new Promise<void>(resolve => waiters.push({met, resolve}))
    if (failed) throw failed
  }

  const append = async ({firstMs, lastMs, body}: OpenChunk, data: Buffer): Promise<void> => {
    await sink.append(meta.sid, {sequence: sequence - 1, firstMs, lastMs, data, digest: head})
    durable += body.size
    wake()
  }

  const takeUp = (): void => {
    while (compressing.length < compressedAtOnce) {
      const chunk = next()
      if (!chunk) return
      const body = chunk.body.bytes()
      const deflated = compress(body)
      // Waited for in its turn; until then a rejection must not count as unhandled.
      deflated.catch(() => undefined)
      compressing.push({chunk, body, deflated})
    }
  }

  const work = async (): Promise<void> => {
    if (sequence === 0) await sink.begin(meta)
    let appending = Promise.resolve()
    for (;;) {
      takeUp()
      if (compressing.length === 0) {
        await appending
        takeUp()
      }
      const [first] = compressing
      if (!first) {
        // In the same turn as the look into `next`, or a chunk closed in between would wait for ever.
        busy = false
        return
      }
      const deflated = await first.deflated
      await appending
      const {chunk, body} = first
      const link = sequence === 0 ? '' : eventLine(chunk.firstMs, CHAIN_CODE, `${sequence} ${head}`)
      const data = gzipMember(link, body, deflated)
      chunk.body.release()
      compressing.shift()
      head = chainDigest(head, data)
      sequence += 1
      appending = append(chunk, data)
      appending.catch(() => undefined)
    }
  }

  const pump = (): void => {
    if (failed) return
    if (busy) {
      if (sequence > 0) takeUp()
      return
    }
    busy = true
    work().catch(fail)
  }

  return {
    pump,
    until,
    async seal(endedAt, durationMs) {
      const end = {endedAt, durationMs, chunks: sequence, head}
      await sink.seal(meta.sid, end).catch(fail)
      if (failed) throw failed
      return end
    },
    get busy() {
      return busy
    },
    get durable() {
      return durable
    },
    get failed() {
      return failed
    },
  }
}

interface Compressing {
  chunk: OpenChunk
  body: Buffer
  deflated: Promise<Buffer>
}

/** Only words that may reach the user: the message of a foreign error could name a path of the server. */
function recordingFailure(cause: unknown): SallyportError {
  const words = cause instanceof SallyportError ? cause.message : 'the store does not take it'
  return problem('recording_unavailable', `the session cannot be recorded: ${words}`, {cause})
}
