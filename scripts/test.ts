// `npm test`: everything that must hold; the last line counts it, and the lines before it name what failed, as a log
// may be cut to its end. `npm test -- <filter>` runs the test files whose path holds the filter; words that begin with
// a dash go to vitest.
import {spawn, spawnSync} from 'node:child_process'
import {mkdtempSync, readdirSync, readFileSync, rmSync} from 'node:fs'
import {availableParallelism, tmpdir} from 'node:os'
import {join} from 'node:path'
import {fileURLToPath} from 'node:url'
import {untracked} from './leftovers.js'
import {
  add,
  countTests,
  none,
  type Outcome,
  outputLines,
  step,
  summary,
  type Tally,
  tellFailures,
  tellSkipped,
} from './tally.js'
import {ensureTools} from './tools.js'

const root = fileURLToPath(new URL('..', import.meta.url))
const words = process.argv.slice(2)
const filters = words.filter(word => !word.startsWith('-'))
const vitestFlags = words.filter(word => word.startsWith('-'))
const failures: string[] = []
const outcomes: Outcome[] = []

/** Lines that are kept of a log that is cut. */
const endOfLog = 25

/** A step without tests of its own. */
function judge(name: string, success: boolean, output = ''): Tally {
  if (!success) outcomes.push({file: '', name, state: 'failed', ms: 0, lines: outputLines(output)})
  return step(success)
}

async function runs(title: string, script: string, ...args: string[]): Promise<Tally> {
  const child = spawn(process.execPath, [`${root}node_modules/${script}`, ...args], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', text => {
      output += text
    })
  const status = await new Promise<number | null>((resolve, reject) =>
    child.once('error', reject).once('close', resolve),
  )
  process.stdout.write(`\n== ${title}\n${output}`)
  return judge(title, status === 0, output)
}

function tools(): Tally {
  process.stdout.write('\n== tools\n')
  const lack = ensureTools()
  if (lack) process.stdout.write(`${lack}\n`)
  return judge('tools', lack === undefined, lack)
}

async function build(): Promise<Tally> {
  const before = read('oclif.manifest.json')
  const built = await runs('build', 'tsx/dist/cli.mjs', 'scripts/build.ts')
  const same = before === read('oclif.manifest.json')
  const advice = 'oclif.manifest.json was out of date: commit the one just written\n'
  if (!same) process.stdout.write(advice)
  return add(built, judge('manifest', same, advice))
}

const read = (name: string): string | undefined => {
  try {
    return readFileSync(join(root, name), 'utf8')
  } catch {
    return undefined
  }
}

/** What reads the sources and changes nothing, beside the build, which leaves processors idle. */
async function checks(): Promise<Tally> {
  const tallies = await Promise.all([
    build(),
    runs('lint', '@biomejs/biome/bin/biome', 'check', '--error-on-warnings', '.'),
    runs('type check', 'typescript/bin/tsc', '-p', 'tsconfig.check.json'),
  ])
  return tallies.reduce(add, none)
}

/** @param workers test files at a time */
function tests(kind: 'unit' | 'integration' | 'e2e', workers: number): Tally {
  const files = readdirSync(join(root, 'test', kind), {recursive: true, encoding: 'utf8'})
    .map(name => join('test', kind, name))
    .filter(
      name => name.endsWith('.test.ts') && (filters.length === 0 || filters.some(f => name.includes(f))),
    )
  if (files.length === 0) return none
  process.stdout.write(`\n== ${kind} tests\n`)
  const directory = mkdtempSync(join(tmpdir(), 'sallyport-test-'))
  const output = join(directory, 'report.json')
  try {
    const {status} = spawnSync(
      process.execPath,
      [
        `${root}node_modules/vitest/vitest.mjs`,
        'run',
        '--reporter=default',
        '--reporter=./scripts/reporter.ts',
        `--maxWorkers=${workers}`,
        ...vitestFlags,
        ...files,
      ],
      {cwd: root, stdio: 'inherit', env: {...process.env, SALLYPORT_TEST_REPORT: output}},
    )
    const report = readReport(output)
    outcomes.push(...(report ?? []))
    const tally = countTests(report, status)
    if (tally.failed > 0) failures.push(`${kind} tests: ${summary(tally)}`)
    return tally
  } finally {
    rmSync(directory, {recursive: true, force: true})
  }
}

const readReport = (path: string): Outcome[] | undefined => {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Outcome[]
  } catch {
    return undefined
  }
}

const before = untracked(root)
const processors = Math.max(2, availableParallelism())
const results = [tools(), await checks()]
const tested = [
  tests('unit', processors),
  // Most of their time they wait for processes and for each other's timers.
  tests('integration', 2 * processors),
  tests('e2e', 1),
]
if (tested.every(({passed, failed}) => passed + failed === 0))
  results.push(
    judge(filters.length > 0 ? `no test file has ${filters.join(' or ')} in its path` : 'no tests', false),
  )
const left = untracked(root).filter(name => !before.includes(name))
results.push(judge('tests leave no files behind', left.length === 0, left.join('\n')))
const total = [...results, ...tested].reduce(add, none)
const account = [...failures.map(failure => `FAILED ${failure}`), summary(total)]
for (const line of [
  '',
  ...tellSkipped(outcomes, 10),
  ...tellFailures(outcomes, endOfLog - account.length),
  ...account,
])
  process.stdout.write(`${line}\n`)
process.exitCode = total.failed === 0 ? 0 : 1
