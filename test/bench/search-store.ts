import {createHash} from 'node:crypto'
import {mkdirSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {gzipSync} from 'node:zlib'
import {headerLine} from '../../src/lib/recording/format/asciicast.js'
import {chainDigest, GENESIS} from '../../src/lib/recording/format/chain.js'
import {
  formatChunkLine,
  formatFirstLine,
  formatSealLine,
  sealMember,
} from '../../src/lib/recording/format/index-file.js'
import type {RecordingMeta} from '../../src/lib/recording/index.js'
import {formatScreenLine} from '../../src/lib/recording/screen/text.js'
import {encodeSearchEntry} from '../../src/lib/recording/search/file.js'
import {createSignature} from '../../src/lib/recording/search/grams.js'

// A store as it is after so many sessions and the reading of their screens, written without the syncs and without playing
// anything: what is measured is the search.

/** Stands in one session of all. */
export const RARE = 'zeppelin hangar seven'
/** Stands in every session. */
export const COMMON = 'Permission denied'

const SESSIONS_A_DAY = 500
const LINES = 200

export interface StoreSize {
  sessions: number
  /** Bytes of text on the screens. */
  text: number
}

/** Fills `directory` with sessions of about 12 kB of text each, 500 a day. */
export function fillStore(directory: string, sessions: number): StoreSize {
  const words = createWords()
  let text = 0
  for (let first = 0; first < sessions; first += SESSIONS_A_DAY) {
    const start = Date.parse('2025-01-01T00:00:00Z') + (first / SESSIONS_A_DAY) * 86_400_000
    const day = join(directory, new Date(start).toISOString().slice(0, 10))
    mkdirSync(day, {recursive: true, mode: 0o700})
    const entries: Buffer[] = []
    for (let number = first; number < Math.min(first + SESSIONS_A_DAY, sessions); number += 1) {
      const lines = Array.from({length: LINES}, () => words.line())
      lines[LINES / 2] = `rm: ${COMMON}`
      if (number === Math.floor(sessions / 2)) lines[LINES - 1] = RARE
      const session = writeSession(day, metaOf(number, start + (number - first) * 60_000), lines)
      text += session.text
      entries.push(encodeSearchEntry({...session.entry, read: 'whole'}))
    }
    writeFileSync(join(day, 'search.bin'), Buffer.concat(entries))
  }
  return {sessions, text}
}

function writeSession(day: string, meta: RecordingMeta, lines: readonly string[]) {
  const {sid} = meta
  const data = gzipSync(headerLine(meta), {level: 1})
  const digest = chainDigest(GENESIS, data)
  const seal = {
    endedAt: meta.startedAt + 60_000,
    durationMs: 60_000,
    chunks: 1,
    head: digest,
    signature: 'c2lnbmVk',
  }
  const file = Buffer.concat([data, sealMember(seal)])
  const chunk = formatChunkLine({sequence: 0, firstMs: 0, lastMs: 0, data, digest}, 0)
  writeFileSync(join(day, `${sid}.cast.gz`), file)
  writeFileSync(join(day, `${sid}.index.jsonl`), formatFirstLine(meta) + chunk + formatSealLine(seal))
  const signature = createSignature()
  for (const line of lines) signature.add(line)
  const text = lines.map((line, at) => formatScreenLine(at * 300, line)).join('')
  writeFileSync(join(day, `${sid}.screen.gz`), gzipSync(text, {level: 1}))
  return {text: text.length, entry: {sid, bytes: file.length, signature: signature.finish()}}
}

function metaOf(number: number, startedAt: number): RecordingMeta {
  const hex = createHash('sha256').update(String(number)).digest('hex')
  const sid = [
    hex.slice(0, 8),
    hex.slice(8, 12),
    hex.slice(12, 16),
    hex.slice(16, 20),
    hex.slice(20, 32),
  ].join('-')
  return {
    ...{sid, cluster: 'bench', user: `user${number % 40}`, login: 'root', host: `host${number % 300}`},
    ...{address: '192.0.2.1:22', startedAt, interactive: true, width: 80, height: 24, term: 'xterm'},
  }
}

/** Lines of words, the same at each run: as varied as what administrators see. */
function createWords() {
  let state = 1
  const random = (below: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state % below
  }
  const vocabulary = Array.from({length: 5000}, () =>
    Array.from({length: 3 + random(8)}, () => String.fromCharCode(97 + random(26))).join(''),
  )
  return {
    line: (): string =>
      Array.from({length: 8}, () => vocabulary[random(vocabulary.length)] ?? '').join(' ') +
      ` ${random(100_000)}`,
  }
}
