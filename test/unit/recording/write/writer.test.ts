import {randomBytes} from 'node:crypto'
import {gunzipSync} from 'node:zlib'
import {afterEach, beforeEach, describe, expect, it, vi} from 'vitest'
import {problem} from '../../../../src/lib/errors/index.js'
import {chainDigest, GENESIS} from '../../../../src/lib/recording/format/chain.js'
import {
  createRecordingWriter,
  type RecordingChunk,
  type RecordingEnd,
  type RecordingSink,
} from '../../../../src/lib/recording/index.js'
import {
  BUSY_CHUNK_BYTES,
  CHUNK_BYTES,
  CHUNK_MS,
  LATE_MS,
  PENDING_BYTES,
  PROMPT_MOST_MS,
  PROMPT_MS,
} from '../../../../src/lib/recording/limits.js'
import {createPace} from '../../../../src/lib/recording/write/prompt.js'
import {meta, readAll, wire} from '../support.js'

let clock = 0
const now = () => clock

interface MemorySink extends RecordingSink {
  steps: string[]
  chunks: RecordingChunk[]
  ended?: RecordingEnd
  /** Holds appends back until it is released. */
  hold(): () => void
}

function memorySink(refuse: (step: string) => Error | undefined = () => undefined): MemorySink {
  let gate: Promise<void> = Promise.resolve()
  const sink: MemorySink = {
    steps: [],
    chunks: [],
    hold() {
      let release = () => {}
      gate = new Promise(resolve => {
        release = resolve
      })
      return release
    },
    async begin() {
      await step('begin')
    },
    async append(_sid, chunk) {
      await step(`append ${chunk.sequence}`)
      sink.chunks.push(chunk)
    },
    async seal(_sid, end) {
      await step('seal')
      sink.ended = end
    },
  }
  const step = async (name: string) => {
    sink.steps.push(name)
    await gate
    const error = refuse(name)
    if (error) throw error
  }
  return sink
}

const text = (chunk: RecordingChunk | undefined) => gunzipSync(chunk?.data ?? Buffer.alloc(0)).toString()
const file = (sink: MemorySink) => Buffer.concat(sink.chunks.map(chunk => chunk.data))

beforeEach(() => {
  clock = 1000
})
afterEach(() => {
  vi.useRealTimers()
})

describe('a recording', () => {
  it('begins, puts its header first, and is sealed once with the head of the chain', async () => {
    const sink = memorySink()
    const writer = createRecordingWriter({meta: meta(), sink, now})
    await writer.started()
    expect(sink.steps).toEqual(['begin', 'append 0'])
    expect(JSON.parse(text(sink.chunks[0])).version).toBe(2)
    writer.output(Buffer.from('hello'))
    clock += 1500
    const end = await writer.end()
    expect(await writer.end()).toBe(end)
    expect(sink.steps).toEqual(['begin', 'append 0', 'append 1', 'seal'])
    expect(end).toEqual({
      endedAt: meta().startedAt + 1500,
      durationMs: 1500,
      chunks: 2,
      head: sink.chunks[1]?.digest,
    })
    expect(sink.ended).toEqual(end)
    expect(() => writer.output(Buffer.from('x'))).toThrow('ended')
  })

  it('chains every chunk, also by a line in the chunk itself', async () => {
    const sink = memorySink()
    const writer = createRecordingWriter({meta: meta(), sink, now})
    for (let i = 0; i < 3; i += 1) {
      writer.output(Buffer.from(`part ${i}`))
      await writer.flush()
    }
    await writer.end()
    let previous = GENESIS
    sink.chunks.forEach((chunk, i) => {
      expect(chunk.sequence).toBe(i)
      expect(chunk.digest).toBe(chainDigest(previous, chunk.data))
      if (i > 0)
        expect(JSON.parse(text(chunk).split('\n')[0] ?? '')).toEqual([0, 'x-chain', `${i} ${previous}`])
      previous = chunk.digest
    })
  })

  it('closes a chunk well within a second after its first event, quiet or not', async () => {
    vi.useFakeTimers({toFake: ['setTimeout', 'clearTimeout']})
    const sink = memorySink()
    const writer = createRecordingWriter({meta: meta(), sink, now})
    await writer.started()
    writer.output(Buffer.from('a'))
    clock += CHUNK_MS - 100
    await vi.advanceTimersByTimeAsync(CHUNK_MS - 100)
    writer.output(Buffer.from('b'))
    expect(sink.steps).toHaveLength(2)
    clock += 100
    await vi.advanceTimersByTimeAsync(100)
    await vi.waitFor(() => expect(sink.chunks).toHaveLength(2))
    expect(sink.chunks[1]).toMatchObject({firstMs: 0, lastMs: CHUNK_MS - 100})
    await vi.advanceTimersByTimeAsync(5000)
    expect(sink.steps).toHaveLength(3)
    expect(CHUNK_MS).toBeLessThan(LATE_MS)
  })

  it('does not keep half a character to itself for longer than a second', async () => {
    vi.useFakeTimers({toFake: ['setTimeout', 'clearTimeout']})
    const sink = memorySink()
    const writer = createRecordingWriter({meta: meta(), sink, now})
    await writer.started()
    writer.output(Buffer.from([0xe2]))
    clock += 1000
    await vi.advanceTimersByTimeAsync(1000)
    await vi.waitFor(() => expect(sink.chunks).toHaveLength(2))
    expect(text(sink.chunks[1])).toContain('x-bytes')
  })

  it('keeps no byte of a character to itself for longer than a chunk, whenever its clock began', async () => {
    vi.useFakeTimers({toFake: ['setTimeout', 'clearTimeout']})
    const pass = async (milliseconds: number): Promise<void> => {
      clock += milliseconds
      await vi.advanceTimersByTimeAsync(milliseconds)
    }
    const sink = memorySink()
    const writer = createRecordingWriter({meta: meta(), sink, now})
    await writer.started()
    writer.output(Buffer.from('a'))
    await pass(30)
    writer.output(Buffer.from([0xf0]))
    await pass(CHUNK_MS - 30)
    await vi.waitFor(() => expect(writer.pending).toBe(0))
    // More of it does not begin its time anew.
    writer.output(Buffer.from([0x9f]))
    await pass(29)
    expect(sink.steps).toHaveLength(3)
    await pass(1)
    await vi.waitFor(() => expect(sink.chunks).toHaveLength(3))
    expect(text(sink.chunks[2])).toContain('"x-bytes","8J8="')
  })

  it('counts the bytes of a character among what is late', async () => {
    vi.useFakeTimers({toFake: ['setTimeout', 'clearTimeout']})
    const writer = createRecordingWriter({meta: meta(), sink: memorySink(), now})
    await writer.started()
    expect(writer.output(Buffer.from([0xe2]))).toBe(true)
    expect(writer.ready()).toBeUndefined()
    clock += LATE_MS + 1
    // The process was busy with something else: its timers have not run yet.
    const ready = writer.ready()
    expect(ready).toBeDefined()
    await vi.advanceTimersByTimeAsync(CHUNK_MS)
    await ready
  })

  it('has half a character durable when it is asked to', async () => {
    const writer = createRecordingWriter({meta: meta(), sink: memorySink(), now})
    writer.output(Buffer.from([0x61, 0xe2, 0x82]))
    expect(writer.durableOutput).toBe(0)
    await writer.flush()
    expect(writer.durableOutput).toBe(3)
  })

  it('closes a chunk at its size', async () => {
    const sink = memorySink()
    const writer = createRecordingWriter({meta: meta(), sink, now})
    await writer.started()
    const part = Buffer.alloc(10_000, 'x')
    for (let i = 0; i < 100; i += 1) {
      writer.output(part)
      await writer.ready()
      if (i % 20 === 0) await vi.waitFor(() => expect(writer.pending).toBeLessThan(CHUNK_BYTES))
    }
    await writer.end()
    expect(sink.chunks.length).toBeGreaterThan(3)
    for (const chunk of sink.chunks) expect(text(chunk).length).toBeLessThan(BUSY_CHUNK_BYTES + 200_000)
  })

  it('gives back a megabyte of noise on two streams byte for byte', async () => {
    const sink = memorySink()
    const writer = createRecordingWriter({meta: meta(), sink, now})
    const parts: Buffer[] = []
    for (let i = 0; i < 64; i += 1) {
      const part = randomBytes(16_000 + i)
      parts.push(part)
      if (!writer.output(part, i % 3 === 0 ? 'stderr' : 'stdout')) await writer.ready()
      clock += 7
    }
    await writer.end()
    const {events, end} = await readAll(file(sink))
    expect(wire(events).equals(Buffer.concat(parts))).toBe(true)
    expect(end).toBe('open')
  })

  it('takes a clock that steps back as no time at all', async () => {
    const sink = memorySink()
    const writer = createRecordingWriter({meta: meta(), sink, now})
    clock += 500
    writer.output(Buffer.from('a'))
    clock -= 400
    writer.output(Buffer.from('b'))
    await writer.end()
    const {events} = await readAll(file(sink))
    expect(events.map(event => event.timeMs)).toEqual([500, 500])
  })

  it('cuts a command of a megabyte, so that the header stays one line', async () => {
    const sink = memorySink()
    const writer = createRecordingWriter({
      meta: meta({command: 'x'.repeat(1_000_000), width: 2 ** 31, height: 0}),
      sink,
      now,
    })
    await writer.end()
    const header = JSON.parse(text(sink.chunks[0]))
    expect(header).toMatchObject({width: 10_000, height: 24})
    expect(header.command).toHaveLength(16 * 1024 + 1)
  })
})

describe('a slow store', () => {
  it('makes the writer ask for a pause, and lets it go on when it has caught up', async () => {
    const sink = memorySink()
    const writer = createRecordingWriter({meta: meta(), sink, now})
    await writer.started()
    const release = sink.hold()
    const part = Buffer.alloc(64 * 1024, 'x')
    let written = 0
    while (writer.output(part)) written += part.length
    expect(written).toBeGreaterThan(PENDING_BYTES / 2)
    expect(writer.pending).toBeLessThan(PENDING_BYTES + 100_000)
    const ready = writer.ready()
    expect(ready).toBeInstanceOf(Promise)
    release()
    await ready
    expect(writer.ready()).toBeUndefined()
    await writer.end()
  })

  it('asks for a pause when output is not durable for a second, however little it is', async () => {
    const sink = memorySink()
    const writer = createRecordingWriter({meta: meta(), sink, now})
    await writer.started()
    const release = sink.hold()
    expect(writer.output(Buffer.from('a'))).toBe(true)
    clock += LATE_MS
    expect(writer.output(Buffer.from('b'))).toBe(true)
    clock += 1
    expect(writer.output(Buffer.from('c'))).toBe(false)
    const ready = writer.ready()
    expect(ready).toBeInstanceOf(Promise)
    const flushed = writer.flush()
    release()
    await flushed
    await ready
    expect(writer.ready()).toBeUndefined()
    clock += 10 * LATE_MS
    expect(writer.output(Buffer.from('d'))).toBe(true)
    await writer.end()
  })

  it('gets larger chunks, in order and one at a time', async () => {
    const sink = memorySink()
    const writer = createRecordingWriter({meta: meta(), sink, now})
    await writer.started()
    const release = sink.hold()
    for (let i = 0; i < 60; i += 1) writer.output(Buffer.alloc(16 * 1024, 'x'))
    release()
    await writer.end()
    expect(sink.chunks.length).toBeLessThan(6)
    expect(sink.steps.slice(1, -1)).toEqual(sink.chunks.map(chunk => `append ${chunk.sequence}`))
  })
})

describe('a store that fails', () => {
  it('refuses the start when it takes no recording', async () => {
    const sink = memorySink(step =>
      step === 'begin' ? problem('store_failed', 'the disk is full') : undefined,
    )
    const failures: string[] = []
    const writer = createRecordingWriter({
      meta: meta(),
      sink,
      now,
      onFailure: error => failures.push(error.message),
    })
    await expect(writer.started()).rejects.toMatchObject({
      code: 'recording_unavailable',
      message: 'the session cannot be recorded: the disk is full',
    })
    expect(failures).toEqual(['the session cannot be recorded: the disk is full'])
    expect(() => writer.output(Buffer.from('x'))).toThrow('cannot be recorded')
    await expect(writer.end()).rejects.toThrow('cannot be recorded')
    expect(sink.steps).toEqual(['begin'])
  })

  it('tells once in the middle, lets waiting relays go, and takes nothing more', async () => {
    const sink = memorySink(step => (step === 'append 1' ? new Error('ENOSPC: /secret/path') : undefined))
    const onFailure = vi.fn()
    const writer = createRecordingWriter({meta: meta(), sink, now, onFailure})
    await writer.started()
    const release = sink.hold()
    while (writer.output(Buffer.alloc(64 * 1024, 'x'))) await Promise.resolve()
    const ready = writer.ready()
    release()
    await ready
    expect(onFailure).toHaveBeenCalledTimes(1)
    expect(writer.failed?.message).not.toContain('/secret')
    expect(() => writer.resize(1, 1)).toThrow('cannot be recorded')
    expect(writer.ready()).toBeUndefined()
    await expect(writer.end()).rejects.toMatchObject({code: 'recording_unavailable'})
    expect(sink.steps.filter(step => step.startsWith('append'))).toEqual(['append 0', 'append 1'])
  })

  it('fails the end when the seal is not kept', async () => {
    const sink = memorySink(step => (step === 'seal' ? new Error('gone') : undefined))
    const writer = createRecordingWriter({meta: meta(), sink, now})
    await expect(writer.end()).rejects.toMatchObject({code: 'recording_unavailable'})
  })
})

describe('a recording that somebody waits for', () => {
  /** Everything that is due now, and what it leads to. */
  const turns = async (): Promise<void> => {
    for (let n = 0; n < 20; n++) await new Promise(resolve => setImmediate(resolve))
  }
  const prompt = async () => {
    vi.useFakeTimers({toFake: ['setTimeout', 'clearTimeout']})
    const sink = memorySink()
    const writer = createRecordingWriter({meta: meta(), sink, now, prompt: true})
    await writer.started()
    const durable = (bytes: number) => expect.poll(() => writer.durableOutput).toBe(bytes)
    const pass = async (milliseconds: number): Promise<void> => {
      clock += milliseconds
      await vi.advanceTimersByTimeAsync(milliseconds)
    }
    return {sink, writer, durable, pass}
  }

  it('has output durable at once, what came in one turn together', async () => {
    const {sink, writer} = await prompt()
    writer.output(Buffer.from('on stdout '))
    writer.output(Buffer.from('and stderr'), 'stderr')
    await writer.untilDurable(20)
    expect(sink.chunks).toHaveLength(2)
    expect(writer.pending).toBe(0)
  })

  it('gathers what comes while a chunk is on its way into the next one', async () => {
    const {sink, writer, pass} = await prompt()
    const release = sink.hold()
    writer.output(Buffer.from('first'))
    await vi.waitFor(() => expect(sink.steps).toContain('append 1'))
    for (let n = 0; n < 5; n++) {
      writer.output(Buffer.from(' more'))
      await pass(PROMPT_MS)
    }
    await turns()
    expect(sink.steps).toEqual(['begin', 'append 0', 'append 1'])
    expect(writer.durableOutput).toBe(0)
    release()
    await writer.untilDurable(30)
    expect(sink.chunks).toHaveLength(3)
  })

  it('closes no chunk sooner after the last one than it may, and forgets none', async () => {
    const {sink, writer, durable, pass} = await prompt()
    writer.output(Buffer.from('a'))
    await durable(1)
    writer.output(Buffer.from('b'))
    await pass(PROMPT_MS - 1)
    await turns()
    expect(sink.chunks).toHaveLength(2)
    await pass(1)
    await durable(2)
    expect(sink.chunks).toHaveLength(3)
  })

  it('tells what of the output is durable, to the byte', async () => {
    const {writer, durable, pass} = await prompt()
    writer.output(Buffer.from('price \u20ac').subarray(0, 8))
    await durable(6)
    await pass(PROMPT_MS)
    writer.output(Buffer.from([0xac]))
    await durable(9)
  })

  it('rejects whoever waits when the store fails', async () => {
    const sink = memorySink(step => (step === 'append 1' ? new Error('no room') : undefined))
    const writer = createRecordingWriter({meta: meta(), sink, prompt: true})
    await writer.started()
    writer.output(Buffer.from('lost'))
    await expect(writer.untilDurable(1)).rejects.toMatchObject({code: 'recording_unavailable'})
    expect(writer.durableOutput).toBe(0)
  })
})

describe('the pace of small chunks', () => {
  /** How many a program has, up to then, that always has more. */
  const closings = (until: number): number => {
    const pace = createPace()
    let count = 0
    for (let at = 0; at < until; at += pace.wait(at)) {
      pace.closed(at)
      count++
    }
    return count
  }
  const minute = 60_000

  it('is quick for minutes, and ever slower for as long as a program goes on', () => {
    expect(closings(5 * minute)).toBe((5 * minute) / PROMPT_MS)
    const day = 24 * 60 * minute
    expect(closings(day)).toBeLessThan(day / PROMPT_MOST_MS + 60_000)
  })

  it('makes nobody wait who types, however long', () => {
    const pace = createPace()
    for (let n = 0; n < 200_000; n++) {
      expect(pace.wait(n * PROMPT_MOST_MS)).toBe(0)
      pace.closed(n * PROMPT_MOST_MS)
    }
  })
})
