import {rename, rm, writeFile} from 'node:fs/promises'
import {promisify} from 'node:util'
import {gzip as gzipCallback} from 'node:zlib'
import {readCast} from '../read/reader.js'
import {createSignature} from '../search/grams.js'
import {readRange} from '../store/files.js'
import type {ScreenLine} from './lines.js'
import {type ReadScreenOptions, readScreen} from './reader.js'
import {formatScreenLine} from './text.js'

const gzip = promisify(gzipCallback)

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
  const {text, complete, signature} = await readLines(readRange(data, 0, bytes), goOn)
  const temporary = `${screen}.tmp`
  try {
    await rm(temporary, {force: true})
    await writeFile(temporary, await gzip(text, {level: 1}), {flag: 'wx', mode: 0o600})
    await rename(temporary, screen)
  } finally {
    await rm(temporary, {force: true})
  }
  return {complete, signature}
}

/** All lines of the screen file, and what their signature is. */
async function readLines(
  data: AsyncIterable<Uint8Array>,
  goOn: ReadScreenOptions['goOn'],
): Promise<{text: string; complete: boolean; signature: Buffer}> {
  const signature = createSignature()
  const lines: string[] = []
  let characters = 0
  const emit = ({ms, text}: ScreenLine): void => {
    const line = text.normalize('NFC')
    characters += line.length
    signature.add(line)
    lines.push(formatScreenLine(ms, line))
  }
  const {complete} = await readScreen(await readCast(data), {
    emit,
    goOn: async () => characters < MOST_CHARACTERS && (await goOn()),
  })
  return {text: lines.join(''), complete, signature: signature.finish()}
}
