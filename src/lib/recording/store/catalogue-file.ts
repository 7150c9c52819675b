import {constants} from 'node:fs'
import {join} from 'node:path'
import {z} from 'zod'
import {writeFileAtomic} from '../../durable/index.js'
import {metaSchema} from '../meta.js'
import type {RecordingSummary} from '../types.js'
import {openRegular} from './files.js'

// The catalogue of a day: what its sealed recordings' indexes say, in one file, so that a list need not open
// thousands. It is derived and may be deleted at any time. docs/recording-format.md

/** A summary, and the state of the index file that it was read from. */
export interface CatalogueEntry {
  summary: RecordingSummary
  indexBytes: number
  indexMtimeMs: number
}

const FILE = 'catalogue.jsonl'
const FIRST_LINE = JSON.stringify({format: 'sallyport-recording-catalogue', version: 1})
/** 60,000 entries and more; a larger file is not read, which costs time alone. */
const MOST_BYTES = 64 * 1024 * 1024
/** Lines parsed before other work gets its turn. */
const LINES_A_TURN = 500

const size = z.number().nonnegative()
const entrySchema = z.object({
  summary: metaSchema.extend({
    state: z.literal('sealed'),
    endedAt: size,
    durationMs: size,
    bytes: size,
  }),
  indexBytes: size,
  indexMtimeMs: size,
})

/** The entries of a day's catalogue; none where there is no such file, or one that is not as it should be. */
export async function readCatalogueFile(day: string): Promise<CatalogueEntry[]> {
  const [first, ...lines] = (await contents(join(day, FILE))).split('\n')
  if (first !== FIRST_LINE) return []
  const entries: CatalogueEntry[] = []
  for (const [at, line] of lines.entries()) {
    if (at % LINES_A_TURN === LINES_A_TURN - 1) await new Promise(setImmediate)
    const entry = parseEntry(line)
    if (entry) entries.push(entry)
  }
  return entries
}

export const writeCatalogueFile = (day: string, entries: Iterable<CatalogueEntry>): Promise<void> =>
  writeFileAtomic(
    join(day, FILE),
    [FIRST_LINE, ...[...entries].map(entry => JSON.stringify(entry)), ''].join('\n'),
  )

async function contents(path: string): Promise<string> {
  try {
    const handle = await openRegular(path, constants.O_RDONLY)
    try {
      return (await handle.stat()).size > MOST_BYTES ? '' : await handle.readFile('utf8')
    } finally {
      await handle.close()
    }
  } catch {
    // The indexes are read instead.
    return ''
  }
}

function parseEntry(line: string): CatalogueEntry | undefined {
  try {
    return entrySchema.safeParse(JSON.parse(line)).data
  } catch {
    // As if it were not there: its index is read.
    return undefined
  }
}
