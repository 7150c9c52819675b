// `npm run bench:search`: how long a search takes among thousands of recorded sessions, in one run.
import {cpus} from 'node:os'
import {join} from 'node:path'
import {performance} from 'node:perf_hooks'
import {parseArgs} from 'node:util'
import type {RecordingSearchQuery, RecordingStore} from '../../src/lib/recording/index.js'
import {cleanUp} from '../support/cleanup.js'
import {temporaryDirectory} from '../support/temporary-directory.js'
import {median} from './measure.js'
import {COMMON, fillStore, RARE} from './search-store.js'

const usage = `Usage: npm run bench:search -- [--sessions=N] [--rounds=N] [--json]

  --sessions   in the store, with 12 kB of text each (10000)
  --rounds     how often each search is made; the median counts (5)
  --json       numbers instead of a table

Measures what was built: npm run build. Ends with 1 where a search that is repeated takes longer than a second.
`

/** Nobody should have to wait longer. */
const LIMIT_MS = 1000

type Query = Partial<RecordingSearchQuery> & {text: string}

const searches: [name: string, query: Query][] = [
  ['a text that one session has', {text: RARE}],
  ['a text that none has', {text: 'kubernetes-xyzzy --force'}],
  ['a text that every session has', {text: COMMON}],
  ['letters of either case', {text: RARE.toUpperCase(), ignoreCase: true}],
  ['a regular expression', {text: 'zeppelin +hangar', regex: true}],
  ['of one user', {text: RARE, user: 'user0'}],
]

interface Timing {
  name: string
  milliseconds: number
  hits: number
}

async function main(sessions: number, rounds: number, json: boolean): Promise<void> {
  process.execArgv.length = 0
  const directory = join(temporaryDirectory(), 'recordings')
  try {
    const size = fillStore(directory, sessions)
    const first = await open(directory)
    // Nothing is known of the store yet: each index is read once, and remembered in a file.
    const cold = await time('the first of all, with nothing remembered', first, {text: RARE})
    await first.close()
    const store = await open(directory)
    const restarted = await time('the first after a restart', store, {text: RARE})
    const timings = [cold, restarted]
    for (const [name, query] of searches) timings.push(await timeOften(name, store, query, rounds))
    await store.close()
    process.stdout.write(
      json ? `${JSON.stringify({...size, rounds, timings})}\n` : table(size, rounds, timings),
    )
    if (timings.slice(2).some(({milliseconds}) => milliseconds > LIMIT_MS)) process.exitCode = 1
  } finally {
    await cleanUp()
  }
}

/** The built store: its helpers are processes, which would load a compiler first where this one does. */
async function open(directory: string): Promise<RecordingStore> {
  const built = new URL('../../dist/lib/recording/index.js', import.meta.url)
  const {openRecordingStore}: typeof import('../../src/lib/recording/index.js') = await import(built.href)
  return await openRecordingStore({directory, signHead: () => ''})
}

async function time(name: string, store: RecordingStore, query: Query): Promise<Timing> {
  const began = performance.now()
  const {hits, waiting} = await store.search({regex: false, ignoreCase: false, ...query})
  if (waiting > 0) throw new Error(`${waiting} sessions were not searched`)
  return {name, milliseconds: performance.now() - began, hits: hits.length}
}

async function timeOften(name: string, store: RecordingStore, query: Query, rounds: number): Promise<Timing> {
  const timings: Timing[] = []
  for (let round = 0; round < rounds; round += 1) timings.push(await time(name, store, query))
  return {...(timings[0] as Timing), milliseconds: median(timings.map(({milliseconds}) => milliseconds))}
}

function table(
  {sessions, text}: {sessions: number; text: number},
  rounds: number,
  timings: Timing[],
): string {
  const [cpu] = cpus()
  return [
    `${cpus().length} × ${cpu?.model ?? ''}, Node ${process.version}; median of ${rounds}`,
    `${sessions} sessions with ${(text / 1e6).toFixed(0)} MB of text on their screens`,
    '',
    ...timings.map(
      ({name, milliseconds, hits}) =>
        `  ${name.padEnd(44)}${milliseconds.toFixed(0).padStart(6)} ms${String(hits).padStart(6)} lines`,
    ),
    '',
  ].join('\n')
}

const {values} = parseArgs({
  options: {
    sessions: {type: 'string', default: '10000'},
    rounds: {type: 'string', default: '5'},
    json: {type: 'boolean', default: false},
    help: {type: 'boolean', default: false},
  },
})
if (values.help) process.stdout.write(usage)
else await main(Number(values.sessions), Number(values.rounds), values.json)
