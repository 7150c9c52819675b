import {closeSync, constants, openSync, readFileSync} from 'node:fs'
import {gunzipSync} from 'node:zlib'
import type {ScreenLine} from './lines.js'

// `<sid>.screen.gz`: the lines that were on a recording's screen, each as its milliseconds, a tab and its text. Lines
// hold no control characters, so neither tab nor line break is in the text.

/** Far more than is ever written of one recording. */
const MOST_BYTES = 128 * 1024 * 1024

export const formatScreenLine = (ms: number, text: string): string => `${ms}\t${text}\n`

/** The lines of a screen file, in no strict order. Reads at once: for a process of its own. */
export function* readScreenLines(path: string): Generator<ScreenLine> {
  const descriptor = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW)
  try {
    const text = gunzipSync(readFileSync(descriptor), {maxOutputLength: MOST_BYTES}).toString('utf8')
    for (let from = 0; from < text.length; ) {
      const end = text.indexOf('\n', from)
      if (end < 0) return
      const tab = text.indexOf('\t', from)
      yield {ms: Number(text.slice(from, tab)), text: text.slice(tab + 1, end)}
      from = end + 1
    }
  } finally {
    closeSync(descriptor)
  }
}
