import {gzipSync} from 'node:zlib'
import {CHAIN_CODE, eventLine, headerLine} from '../../src/lib/recording/format/asciicast.js'
import {chainDigest, GENESIS} from '../../src/lib/recording/format/chain.js'
import type {RecordingChunk, RecordingEnd, RecordingMeta} from '../../src/lib/recording/index.js'

/** A chunk of whatever content in its place in the chain, as a machine of one's own making could send it. */
export function chunkAfter(
  before: RecordingChunk | undefined,
  content: string | Buffer,
  {firstMs = 0, lastMs = firstMs}: {firstMs?: number; lastMs?: number} = {},
): RecordingChunk {
  const data = gzipSync(content)
  const sequence = before ? before.sequence + 1 : 0
  return {sequence, firstMs, lastMs, data, digest: chainDigest(before?.digest ?? GENESIS, data)}
}

/** The line with which a chunk names the one before it. */
export const linkTo = ({sequence, digest}: RecordingChunk, timeMs: number): string =>
  eventLine(timeMs, CHAIN_CODE, `${sequence + 1} ${digest}`)

/** A recording of so many chunks as another machine sends it: the header, then a line every 10 ms, 5 ms long. */
export function chunksOf(meta: RecordingMeta, count: number): RecordingChunk[] {
  const all = [chunkAfter(undefined, headerLine(meta))]
  for (let sequence = 1; sequence < count; sequence += 1) {
    const before = all[sequence - 1] as RecordingChunk
    const [firstMs, lastMs] = [sequence * 10, sequence * 10 + 5]
    const line = eventLine(lastMs, 'o', `line ${sequence}`)
    all.push(chunkAfter(before, linkTo(before, firstMs) + line, {firstMs, lastMs}))
  }
  return all
}

/** The end of a recording of these chunks. */
export function endOf(meta: RecordingMeta, all: readonly RecordingChunk[], durationMs = 900): RecordingEnd {
  const head = all.at(-1)?.digest ?? ''
  return {endedAt: meta.startedAt + durationMs, durationMs, chunks: all.length, head}
}
