import {createWriteStream} from 'node:fs'
import {rename, rm} from 'node:fs/promises'
import {pipeline} from 'node:stream/promises'
import {createGzip} from 'node:zlib'
import {readCast} from '../read/reader.js'
import {createSignature} from '../search/grams.js'
import {readRange} from '../store/files.js'
import type {ScreenLine} from './lines.js'
import {type ReadScreenOptions, readScreen} from './reader.js'
import {formatScreenLine} from './text.js'

/** Characters kept of one recording; of more, the first are searched. */
const MOST_CHARACTERS = 16 * 1024 * 1024

export interface ScreenFileJob {
  data: string
  /** Bytes of the data file to read. */
  bytes: number
  screen: string
}

/** Reads the screen of a recording and writes its file. `goOn` as of readScreen. */
export async function writeScreenFile(
  {data, bytes, screen}: ScreenFileJob,
  goOn: ReadScreenOptions['goOn'],
): Promise<{complete: boolean; signature: Buffer}> {
  const signature = createSignature()
  const temporary = `${screen}.tmp`
  const waiting: string[] = []
  let characters = 0
  let complete = false
  const lines = async function* (): AsyncGenerator<string> {
    const cast = await readCast(readRange(data, 0, bytes))
    const emit = ({ms, text}: ScreenLine): void => {
      const line = text.normalize('NFC')
      characters += line.length
      signature.add(line)
      waiting.push(formatScreenLine(ms, line))
    }
    const result = await readScreen(cast, {
      emit,
      goOn: async () => characters < MOST_CHARACTERS && (await goOn()),
    })
    complete = result.complete
    yield waiting.join('')
  }
  try {
    await rm(temporary, {force: true})
    await pipeline(lines, createGzip({level: 1}), createWriteStream(temporary, {flags: 'wx', mode: 0o600}))
    await rename(temporary, screen)
  } finally {
    await rm(temporary, {force: true})
  }
  return {complete, signature: signature.finish()}
}
