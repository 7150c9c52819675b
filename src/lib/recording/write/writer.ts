import {problem, type SallyportError} from '../../errors/index.js'
import type {OutputStream} from '../format/asciicast.js'
import {LATE_MS, PENDING_BYTES} from '../limits.js'
import {boundMeta} from '../meta.js'
import type {RecordingEnd, RecordingMeta, RecordingSink} from '../types.js'
import {type ChunkPipeline, createChunkPipeline} from './chunk-pipeline.js'
import {createCollector} from './collector.js'

export interface RecordingWriterOptions {
  meta: RecordingMeta
  sink: RecordingSink
  /** Milliseconds of any clock; only differences count, and a step back is taken as no time at all. */
  now?: () => number
  /** Somebody waits until output is durable: it is made so at once, in chunks as small as that takes. Default: false. */
  prompt?: boolean
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
  /** Resolves when everything recorded so far is durable, half a character too. */
  flush(): Promise<void>
  /** Of the bytes given to `output`, how many are durable, from the first one on. */
  readonly durableOutput: number
  /** Resolves when `durableOutput` is so much; rejects when the recording failed. */
  untilDurable(output: number): Promise<void>
  /** Makes the rest durable and seals. The same promise at every call. Rejects when the recording failed. */
  end(): Promise<RecordingEnd>
  readonly failed: SallyportError | undefined
  /** Encoded bytes that are not durable yet. */
  readonly pending: number
}

/** Starts a recording: its header goes to the sink at once, before any output. */
export function createRecordingWriter(options: RecordingWriterOptions): RecordingWriter {
  const {sink, now = () => performance.now(), prompt = false, onFailure} = options
  const meta = boundMeta(options.meta)
  const collector = createCollector({meta, now, prompt, consumer: () => pipeline})
  const pipeline: ChunkPipeline = createChunkPipeline({
    meta,
    sink,
    next: collector.take,
    onFailure: error => {
      collector.discard()
      onFailure?.(error)
    },
  })
  let ending: Promise<RecordingEnd> | undefined

  const pending = (): number => collector.recorded() - pipeline.durable
  const late = (): boolean => collector.waitingMs() > LATE_MS

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
      collector.output(bytes, stream)
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
    async flush() {
      if (pipeline.failed) throw pipeline.failed
      collector.close()
      const target = collector.recorded()
      await pipeline.until(() => pipeline.durable >= target)
    },
    get durableOutput() {
      return collector.durableOutput()
    },
    untilDurable: output => pipeline.until(() => collector.durableOutput() >= output),
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
