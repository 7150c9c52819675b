import {createEncoder, type Encoder, headerLine, type OutputStream} from '../format/asciicast.js'
import {createChunkBody} from '../format/chunk-body.js'
import {BUSY_CHUNK_BYTES, CHUNK_BYTES, CHUNK_MS} from '../limits.js'
import type {RecordingMeta} from '../types.js'
import type {OpenChunk} from './chunk-pipeline.js'
import {createPrompter} from './prompt.js'

/** Where closed chunks go. */
export interface ChunkConsumer {
  pump(): void
  readonly busy: boolean
  /** Bytes of lines in the chunks that are durable. */
  readonly durable: number
}

export interface CollectorOptions {
  meta: RecordingMeta
  now: () => number
  /** Chunks close as soon as those before them are durable. */
  prompt: boolean
  consumer: () => ChunkConsumer
}

/** Gathers lines into chunks. */
export interface Collector {
  output(bytes: Uint8Array, stream: OutputStream | undefined): void
  record(encode: (encoder: Encoder, atMs: number) => string): void
  /** Closes the open chunk, with what was held back for the rest of a character. */
  close(): void
  /** The next closed chunk. */
  take(): OpenChunk | undefined
  /** Bytes of lines so far. */
  recorded(): number
  /** Age in milliseconds of the oldest output that is not durable. */
  waitingMs(): number
  /** Of the bytes given to `output`, how many are durable. */
  durableOutput(): number
  /** Closes the last chunk; returns the duration in milliseconds. */
  finish(): number
  discard(): void
}

/** Gathers lines into chunks and closes them by size and by time. The header is the first chunk. */
export function createCollector({meta, now, prompt, consumer}: CollectorOptions): Collector {
  const encoder = createEncoder({terminal: meta.term !== undefined || meta.interactive})
  const origin = now()
  const header = createChunkBody()
  header.append(headerLine(meta))
  const closed: OpenChunk[] = [{body: header, firstMs: 0, lastMs: 0}]
  let open: OpenChunk | undefined
  let timer: NodeJS.Timeout | undefined
  let recorded = header.size
  /** Up to the end of the chunk that closed last. */
  let closedUpTo = recorded
  /** Of that chunk: the next one will probably be like it. */
  let lastSize = 0
  let clock = 0
  /** Bytes given to `output`; durable ones. */
  let taken = 0
  let durableOutput = 0
  /** Chunks that may not be durable yet: when each began, and how much is recorded up to its end, as lines and as output. */
  const unsettled: {firstMs: number; end: number; output: number}[] = []

  const elapsed = (): number => {
    clock = Math.max(clock, Math.round(now() - origin))
    return clock
  }
  const settle = (): void => {
    const {durable} = consumer()
    while (unsettled[0] && unsettled[0].end <= durable) {
      durableOutput = unsettled[0].output
      unsettled.shift()
    }
  }

  const closeOpen = (): void => {
    clearTimeout(timer)
    timer = undefined
    if (open) {
      closed.push(open)
      lastSize = open.body.size
      closedUpTo = recorded
      unsettled.push({
        firstMs: open.firstMs,
        end: recorded,
        output: taken - (encoder.held?.bytes.length ?? 0),
      })
    }
    open = undefined
    arm()
  }
  const close = (): void => {
    closeOpen()
    consumer().pump()
  }

  /** When the oldest came of what is in no closed chunk, be it the first byte of a character. */
  const openSince = (): number => Math.min(open?.firstMs ?? Infinity, encoder.held?.since ?? Infinity)
  const arm = (): void => {
    if (timer) return
    const since = openSince()
    if (since < Infinity) timer = setTimeout(onTime, Math.max(0, since + CHUNK_MS - elapsed()))
  }
  const onTime = (): void => {
    const since = encoder.held?.since
    if (since !== undefined && elapsed() - since >= CHUNK_MS) append(encoder.flush(clock))
    close()
  }

  const append = (lines: string): void => {
    if (lines !== '') {
      open ??= {body: createChunkBody(lastSize), firstMs: clock, lastMs: clock}
      const before = open.body.size
      open.body.append(lines)
      open.lastMs = clock
      recorded += open.body.size - before
    }
    arm()
    // A busy sink is the reason to let chunks grow: each costs it the same fsync.
    if (open && open.body.size >= (consumer().busy ? BUSY_CHUNK_BYTES : CHUNK_BYTES)) close()
    else prompter?.appended()
  }
  const prompter = prompt
    ? createPrompter({
        ...{elapsed, close},
        mayClose: () => open !== undefined && consumer().durable >= closedUpTo,
      })
    : undefined

  return {
    close() {
      append(encoder.flush(elapsed()))
      close()
    },
    recorded: () => recorded,
    waitingMs() {
      settle()
      const oldest = Math.min(unsettled[0]?.firstMs ?? Infinity, openSince())
      return oldest === Infinity ? 0 : elapsed() - oldest
    },
    durableOutput() {
      settle()
      return durableOutput
    },
    output(bytes, stream) {
      taken += bytes.length
      append(encoder.output(elapsed(), bytes, stream))
    },
    record(encode) {
      append(encode(encoder, elapsed()))
    },
    take() {
      if (closed.length === 0 && open && (open.body.size >= CHUNK_BYTES || prompter?.closesNow())) closeOpen()
      return closed.shift()
    },
    finish() {
      append(encoder.flush(elapsed()))
      close()
      return clock
    },
    discard() {
      clearTimeout(timer)
      timer = undefined
      closed.length = 0
      open = undefined
    },
  }
}
