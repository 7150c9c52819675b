// `npm run bench:recording`: what recording costs, beside plain sshd and a plain jump host, all in one run.
import {spawnSync} from 'node:child_process'
import {existsSync} from 'node:fs'
import {cpus} from 'node:os'
import {join} from 'node:path'
import {fileURLToPath} from 'node:url'
import {parseArgs} from 'node:util'
import {cleanUp} from '../support/cleanup.js'
import {temporaryDirectory} from '../support/temporary-directory.js'
import {eventsPerSecond} from './events.js'
import {type FileCost, fileCosts} from './files.js'
import {type Following, measureFollowing} from './following.js'
import {type Echo, type Idle, measureEcho, measureIdle} from './interactive.js'
import {connecting, type Load, loadsOf, makeMaterial} from './loads.js'
import {bytesBelow, cpuSeconds, median, peakMegabytes, seconds} from './measure.js'
import {formatReport} from './report.js'
import {startWays, type Way} from './ways.js'

const usage = `Usage: npm run bench:recording -- [--size=MB] [--rounds=N] [--cipher=NAME] [--json]

  --size     of each transfer, in MB (256)
  --rounds   how often each is measured, all ways in turn; the median counts (5)
  --cipher   of ssh, such as aes128-gcm@openssh.com; OpenSSH's own choice otherwise
  --json     numbers instead of a table
`

/** One load by one way. */
export interface Measured {
  way: string
  load: string
  /** MB/s of content, the time to connect taken off; absent for connecting. */
  megabytesPerSecond?: number
  /** The same, beside the direct way. */
  ofDirect?: number
  /** Of the process in the middle. */
  cpuSecondsPerGigabyte?: number
  /** Of recording, for each MB that was shown. */
  diskBytesPerMegabyte?: number
  milliseconds: number
}

export interface Report {
  machine: {cpus: number; model: string; node: string}
  size: number
  rounds: number
  cipher: string
  ways: {name: string; about: string}[]
  loads: {name: string; about: string}[]
  measured: Measured[]
  events: {atOnce: number; perSecond: number}[]
  following: Following
  files: FileCost[]
  echo: Echo[]
  idle: Idle
  /** MB of memory that the recording proxy had at most, before the transfers and after. */
  memory: {before: number; after: number}
}

interface Sample {
  seconds: number
  cpu: number
  disk: number
}

async function once(way: Way, load: Load): Promise<Sample> {
  const cpu = way.pid === undefined ? 0 : cpuSeconds(way.pid)
  const disk = way.recordings === undefined ? 0 : bytesBelow(way.recordings)
  const took = await seconds(load.command(way))
  // What is in the middle may end a little later, and is counted when it has.
  await new Promise(resolve => setTimeout(resolve, 300))
  return {
    seconds: took,
    cpu: way.pid === undefined ? 0 : cpuSeconds(way.pid) - cpu,
    disk: way.recordings === undefined ? 0 : bytesBelow(way.recordings) - disk,
  }
}

/** All ways in turn, so that whatever else the machine does is the same for all. */
async function rounds(ways: Way[], load: Load, count: number): Promise<Map<string, Sample>> {
  const samples = new Map(ways.map(({name}) => [name, [] as Sample[]]))
  for (let round = 0; round < count; round++) {
    for (const way of ways) samples.get(way.name)?.push(await once(way, load))
  }
  return new Map(
    [...samples].map(([name, all]) => [
      name,
      {
        seconds: median(all.map(sample => sample.seconds)),
        cpu: median(all.map(sample => sample.cpu)),
        disk: median(all.map(sample => sample.disk)),
      },
    ]),
  )
}

function judge(
  ways: Way[],
  load: Load,
  found: Map<string, Sample>,
  connect: Map<string, Sample>,
): Measured[] {
  const megabytes = (load.bytes ?? 0) / 1e6
  const rate = (name: string): number =>
    megabytes / ((found.get(name)?.seconds ?? 0) - (connect.get(name)?.seconds ?? 0))
  return ways.flatMap(way => {
    const sample = found.get(way.name)
    if (!sample) return []
    const measured: Measured = {way: way.name, load: load.name, milliseconds: sample.seconds * 1000}
    if (megabytes === 0) return [measured]
    return [
      {
        ...measured,
        megabytesPerSecond: rate(way.name),
        ofDirect: rate(way.name) / rate('direct'),
        ...(way.pid !== undefined && {cpuSecondsPerGigabyte: (sample.cpu / megabytes) * 1000}),
        ...(way.recordings !== undefined && load.recorded && {diskBytesPerMegabyte: sample.disk / megabytes}),
      },
    ]
  })
}

async function measure(size: number, count: number, cipher: string | undefined): Promise<Report> {
  const note = (text: string): void => void process.stderr.write(`${text}\n`)
  const directory = temporaryDirectory()
  note(`Writing two files of ${size} MB`)
  const material = await makeMaterial(directory, size * 1_000_000)
  note('Starting sshd and Sallyport')
  const ways = await startWays(cipher)
  const proxy = ways.find(({name}) => name === 'recorded')?.pid ?? 0
  // Everything once beforehand: files are cached, host certificates made, code compiled.
  for (const way of ways) await seconds(connecting.command(way))
  note('Connecting')
  const connect = await rounds(ways, connecting, Math.max(count, 5) * 2)
  const measured = judge(ways, connecting, connect, connect)
  note('Idle sessions')
  // Before anything large has passed, whose memory they would be given.
  const idle = await measureIdle(ways.find(({name}) => name === 'recorded') as Way, 100)
  const before = peakMegabytes(proxy)
  const loads = loadsOf(material)
  for (const load of loads) {
    note(load.name)
    measured.push(...judge(ways, load, await rounds(ways, load, count), connect))
  }
  note('Echo')
  const echo: Echo[] = []
  for (const way of ways) echo.push(await measureEcho(way, 1000))
  note('Following a file')
  const following = measureFollowing(1_000_000_000)
  note('Audit events')
  const events: Report['events'] = []
  for (const [atOnce, total] of [
    [1, 300],
    [100, 20_000],
  ] as const) {
    events.push({
      atOnce,
      perSecond: await eventsPerSecond(join(directory, `events-${atOnce}`), atOnce, total),
    })
  }
  return {
    machine: {cpus: cpus().length, model: cpus()[0]?.model ?? 'unknown', node: process.version},
    ...{size, rounds: count, cipher: cipher ?? "OpenSSH's default"},
    ways: ways.map(({name, about}) => ({name, about})),
    loads: [connecting, ...loads].map(({name, about}) => ({name, about})),
    measured,
    events,
    ...{following, files: fileCosts(measured, following), echo, idle},
    memory: {before, after: peakMegabytes(proxy)},
  }
}

const root = fileURLToPath(new URL('../..', import.meta.url))

function buildWhereMissing(): boolean {
  if (existsSync(`${root}dist/lib/cli/main.js`)) return true
  const tsx = `${root}node_modules/tsx/dist/cli.mjs`
  return spawnSync(process.execPath, [tsx, `${root}scripts/build.ts`], {stdio: ['ignore', 2, 2]}).status === 0
}

const {values} = parseArgs({
  options: {
    size: {type: 'string', default: '256'},
    rounds: {type: 'string', default: '5'},
    cipher: {type: 'string'},
    json: {type: 'boolean', default: false},
    help: {type: 'boolean', default: false},
  },
})
const [size, count] = [Number(values.size), Number(values.rounds)]
if (values.help || !(size >= 1) || !(count >= 1)) {
  process.stderr.write(usage)
  process.exitCode = values.help ? 0 : 1
} else if (!buildWhereMissing()) {
  process.exitCode = 1
} else {
  try {
    const report = await measure(size, Math.floor(count), values.cipher)
    process.stdout.write(values.json ? `${JSON.stringify(report, null, 2)}\n` : formatReport(report))
  } finally {
    await cleanUp()
  }
}
