import {problem, type SallyportError} from '../../errors/index.js'
import {createEncoder, headerLine, type OutputStream} from '../format/asciicast.js'
import {createChunkBody} from '../format/chunk-body.js'
import {BUSY_CHUNK_BYTES, CHUNK_BYTES, CHUNK_MS, LATE_MS, PENDING_BYTES} from '../limits.js'
import {boundMeta} from '../meta.js'
import type {RecordingEnd, RecordingMeta, RecordingSink} from '../types.js'
import {createChunkPipeline, type OpenChunk} from './chunk-pipeline.js'

export interface RecordingWriterOptions {
  meta: RecordingMeta
  sink: RecordingSink
  /** Milliseconds of any clock; only differences count, and a step back is taken as no time at all. */
  now?: () => number
  /** Told once when the recording can no longer be kept. */
  onFailure?: (error: SallyportError) => void
}

/**
 * Records one session. Nothing here blocks the event loop: compression runs on the thread pool and the sink is
 * waited for apart from the relay.
 */
export interface RecordingWriter {
  /**
   * Records bytes on their way to the user. False asks the relay to pause until `ready()`.
   * The bytes may be reused after the call. Throws the failure once there is one, `internal` after `end`.
   */
  output(bytes: Uint8Array, stream?: OutputStream): boolean
  resize(columns: number, rows: number): void
  marker(label: string): void
  /** Undefined when there is room; else resolves when there is, or when the recording failed. */
  ready(): Promise<void> | undefined
  /** Resolves when the header is durable; rejects when the store does not take the recording. */
  started(): Promise<void>
  /** Resolves when everything recorded so far is durable. */
  flush(): Promise<void>
  /** Makes the rest durable and seals. The same promise at every call. Rejects when the recording failed. */
  end(): Promise<RecordingEnd>
  readonly failed: SallyportError | undefined
  /** Encoded bytes that are not durable yet. */
  readonly pending: number
}

/** Starts a recording: its header goes to the sink at once, before any output. */
export function createRecordingWriter(options: RecordingWriterOptions): RecordingWriter {
  const {sink, now = () => performance.now(), onFailure} = options
  const meta = boundMeta(options.meta)
  const collector = createCollector(meta, now)
  const pipeline = createChunkPipeline({
    meta,
    sink,
    next: collector.take,
    onFailure: error => {
      collector.discard()
      onFailure?.(error)
    },
  })
  collector.onChunk(pipeline)
  let ending: Promise<RecordingEnd> | undefined

  const pending = (): number => collector.recorded() - pipeline.durable
  const late = (): boolean => collector.waitingMs(pipeline.durable) > LATE_MS

  const check = (): void => {
    if (pipeline.failed) throw pipeline.failed
    if (ending) throw problem('internal', 'the recording of this session has ended already')
  }

  const finish = async (): Promise<RecordingEnd> => {
    if (pipeline.failed) throw pipeline.failed
    const durationMs = collector.finish()
    await pipeline.until(() => pending() === 0)
    return await pipeline.seal(meta.startedAt + durationMs, durationMs)
  }

  pipeline.pump()
  return {
    output(bytes, stream) {
      check()
      collector.record((encoder, at) => encoder.output(at, bytes, stream))
      return pending() <= PENDING_BYTES && !late()
    },
    resize(columns, rows) {
      check()
      collector.record((encoder, at) => encoder.resize(at, columns, rows))
    },
    marker(label) {
      check()
      collector.record((encoder, at) => encoder.marker(at, label))
    },
    ready() {
      if (pipeline.failed || (pending() <= PENDING_BYTES && !late())) return undefined
      return pipeline.until(() => pending() <= PENDING_BYTES / 2 && !late()).catch(() => undefined)
    },
    started: () => pipeline.until(() => pipeline.durable > 0),
    flush() {
      const target = collector.recorded()
      collector.close()
      return pipeline.until(() => pipeline.durable >= target)
    },
    end() {
      ending ??= finish()
      return ending
    },
    get failed() {
      return pipeline.failed
    },
    get pending() {
      return pending()
    },
  }
}

/** Gathers lines into chunks and closes them by size and by time. The header is the first chunk. */
function createCollector(meta: RecordingMeta, now: () => number) {
  const encoder = createEncoder({terminal: meta.term !== undefined || meta.interactive})
  const origin = now()
  const header = createChunkBody()
  header.append(headerLine(meta))
  const closed: OpenChunk[] = [{body: header, firstMs: 0, lastMs: 0}]
  let open: OpenChunk | undefined
  let timer: NodeJS.Timeout | undefined
  let pipeline: {pump(): void; readonly busy: boolean} | undefined
  let recorded = header.size
  /** Of the chunk that closed last: the next one will probably be like it. */
  let lastSize = 0
  let clock = 0
  /** Chunks that may not be durable yet: when each began, and how much is recorded up to its end. */
  const unsettled: {firstMs: number; end: number}[] = []

  const elapsed = (): number => {
    clock = Math.max(clock, Math.round(now() - origin))
    return clock
  }

  const closeOpen = (): void => {
    clearTimeout(timer)
    timer = undefined
    if (open) {
      closed.push(open)
      lastSize = open.body.size
      unsettled.push({firstMs: open.firstMs, end: recorded})
    }
    open = undefined
    if (encoder.heldSince() !== undefined) arm()
  }

  const close = (): void => {
    closeOpen()
    pipeline?.pump()
  }

  const arm = (): void => {
    timer ??= setTimeout(onTime, CHUNK_MS)
  }

  const onTime = (): void => {
    const since = encoder.heldSince()
    if (since !== undefined && elapsed() - since >= CHUNK_MS) append(encoder.flush(clock))
    close()
  }

  const append = (lines: string): void => {
    arm()
    if (lines === '') return
    open ??= {body: createChunkBody(lastSize), firstMs: clock, lastMs: clock}
    const before = open.body.size
    open.body.append(lines)
    open.lastMs = clock
    recorded += open.body.size - before
    // A busy sink is the reason to let chunks grow: each costs it the same fsync.
    if (open.body.size >= (pipeline?.busy ? BUSY_CHUNK_BYTES : CHUNK_BYTES)) close()
  }

  return {
    close,
    recorded: () => recorded,
    /** Age of the oldest output that is not among the first `durable` bytes. */
    waitingMs(durable: number): number {
      while (unsettled[0] && unsettled[0].end <= durable) unsettled.shift()
      const oldest = unsettled[0] ?? open
      return oldest ? elapsed() - oldest.firstMs : 0
    },
    onChunk(consumer: {pump(): void; readonly busy: boolean}): void {
      pipeline = consumer
    },
    record(encode: (from: typeof encoder, atMs: number) => string): void {
      append(encode(encoder, elapsed()))
    },
    take(): OpenChunk | undefined {
      if (closed.length === 0 && open && open.body.size >= CHUNK_BYTES) closeOpen()
      return closed.shift()
    },
    /** Closes the last chunk; returns the duration in milliseconds. */
    finish(): number {
      append(encoder.flush(elapsed()))
      close()
      return clock
    },
    discard(): void {
      clearTimeout(timer)
      timer = undefined
      closed.length = 0
      open = undefined
    },
  }
}
