import {problem, SallyportError} from '../errors/index.js'
import {CHAIN_CODE, eventLine} from './asciicast.js'
import {chainDigest, GENESIS} from './chain.js'
import {createCompressor} from './compress.js'
import type {RecordingEnd, RecordingMeta, RecordingSink} from './types.js'

/** Lines that become one gzip member. Milliseconds since the start; `size` in characters. */
export interface OpenChunk {
  lines: string[]
  size: number
  firstMs: number
  lastMs: number
}

export interface ChunkPipeline {
  /** Takes up work if it is idle. */
  pump(): void
  readonly busy: boolean
  /** Characters of the chunks that are durable. */
  readonly durable: number
  readonly failed: SallyportError | undefined
  /** Resolves once `met` holds; looked at after every chunk. Rejects when the recording failed. */
  until(met: () => boolean): Promise<void>
  /** Seals after the last chunk. */
  seal(endedAt: number, durationMs: number): Promise<RecordingEnd>
}

/**
 * Takes chunks from `next`, compresses, chains and appends them strictly in order, one `begin` before the first.
 * A chunk is compressed while the one before it is being written. The first failure ends it for good.
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
  const compressText = createCompressor()
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

  const compress = (chunk: OpenChunk): Promise<Buffer> => {
    const link = sequence === 0 ? '' : eventLine(chunk.firstMs, CHAIN_CODE, `${sequence} ${head}`)
    return compressText(link + chunk.lines.join(''))
  }

  const append = async ({firstMs, lastMs, size}: OpenChunk, data: Buffer): Promise<void> => {
    await sink.append(meta.sid, {sequence: sequence - 1, firstMs, lastMs, data, digest: head})
    durable += size
    wake()
  }

  const work = async (): Promise<void> => {
    if (sequence === 0) await sink.begin(meta)
    let appending = Promise.resolve()
    for (;;) {
      let chunk = next()
      if (!chunk) {
        await appending
        chunk = next()
      }
      if (!chunk) {
        // In the same turn as the look into `next`, or a chunk closed in between would wait for ever.
        busy = false
        return
      }
      const data = await compress(chunk)
      await appending
      head = chainDigest(head, data)
      sequence += 1
      appending = append(chunk, data)
      // Waited for in the next round; until then a rejection must not count as unhandled.
      appending.catch(() => undefined)
    }
  }

  const pump = (): void => {
    if (busy || failed) return
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

/** Only words that may reach the user: the message of a foreign error could name a path of the server. */
function recordingFailure(cause: unknown): SallyportError {
  const words = cause instanceof SallyportError ? cause.message : 'the store does not take it'
  return problem('recording_unavailable', `the session cannot be recorded: ${words}`, {cause})
}
