// `npm test`: everything that must hold, in order; the last line counts it, and the lines before it name what failed,
// as a log may be cut to its end. `npm test -- <filter>` runs the test files whose path holds the filter; words that
// begin with a dash go to vitest.
import {spawnSync} from 'node:child_process'
import {mkdtempSync, readdirSync, readFileSync, rmSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {fileURLToPath} from 'node:url'
import {
  add,
  countTests,
  none,
  type Outcome,
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

function runs(title: string, script: string, ...args: string[]): Tally {
  process.stdout.write(`\n== ${title}\n`)
  const {status} = spawnSync(process.execPath, [`${root}node_modules/${script}`, ...args], {
    cwd: root,
    stdio: 'inherit',
  })
  return judge(title, step(status === 0))
}

function judge(title: string, tally: Tally): Tally {
  if (tally.failed > 0) failures.push(`${title}: ${summary(tally)}`)
  return tally
}

function tools(): Tally {
  process.stdout.write('\n== tools\n')
  const lack = ensureTools()
  if (lack) process.stdout.write(`${lack}\n`)
  return judge('tools', step(lack === undefined))
}

function build(): Tally {
  const before = read('oclif.manifest.json')
  const built = runs('build', 'tsx/dist/cli.mjs', 'scripts/build.ts')
  const same = before === read('oclif.manifest.json')
  if (!same) process.stdout.write('oclif.manifest.json was out of date: commit the one just written\n')
  return add(built, judge('manifest', step(same)))
}

const read = (name: string): string | undefined => {
  try {
    return readFileSync(join(root, name), 'utf8')
  } catch {
    return undefined
  }
}

function tests(kind: 'unit' | 'integration' | 'e2e'): Tally {
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
        ...vitestFlags,
        ...files,
      ],
      {cwd: root, stdio: 'inherit', env: {...process.env, SALLYPORT_TEST_REPORT: output}},
    )
    const report = readReport(output)
    outcomes.push(...(report ?? []))
    return judge(`${kind} tests`, countTests(report, status))
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

const steps = [
  tools,
  build,
  () => runs('lint', '@biomejs/biome/bin/biome', 'check', '--error-on-warnings', '.'),
  () => runs('type check', 'typescript/bin/tsc', '-p', 'tsconfig.check.json'),
  () => tests('unit'),
  () => tests('integration'),
  () => tests('e2e'),
]
const results = steps.map(run => run())
if (results.slice(-3).every(({passed, failed}) => passed + failed === 0))
  results.push(
    judge(
      filters.length > 0 ? `no test file has ${filters.join(' or ')} in its path` : 'no tests',
      step(false),
    ),
  )
const total = results.reduce(add, none)
const account = [...failures.map(failure => `FAILED ${failure}`), summary(total)]
for (const line of [
  '',
  ...tellSkipped(outcomes, 10),
  ...tellFailures(outcomes, endOfLog - account.length),
  ...account,
])
  process.stdout.write(`${line}\n`)
process.exitCode = total.failed === 0 ? 0 : 1
