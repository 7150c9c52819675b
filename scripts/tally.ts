/** How a test run went, step by step. */
export interface Tally {
  passed: number
  failed: number
  skipped: number
}

export const none: Tally = {passed: 0, failed: 0, skipped: 0}

export const add = (a: Tally, b: Tally): Tally => ({
  passed: a.passed + b.passed,
  failed: a.failed + b.failed,
  skipped: a.skipped + b.skipped,
})

/** A step without tests of its own (the build, the linter) counts as one. */
export const step = (success: boolean): Tally => (success ? {...none, passed: 1} : {...none, failed: 1})

/** What came of one test, of a file that could not be loaded, or of a hook or an error outside of every test. */
export interface Outcome {
  /** Relative to the repository; empty where nobody knows it. */
  file: string
  /** With the groups it is in, `group > test`. */
  name: string
  state: 'passed' | 'failed' | 'skipped'
  ms: number
  /** The error, or why it was skipped. */
  lines: string[]
}

/**
 * Counts outcomes. A run that ended badly with no failure in its report (a crash, no report at all) is one failure.
 */
export function countTests(outcomes: readonly Outcome[] | undefined, exitCode: number | null): Tally {
  const tally = {...none}
  for (const {state} of outcomes ?? []) tally[state] += 1
  if (exitCode !== 0 && tally.failed === 0) tally.failed = 1
  return tally
}

/** `12 passed, 0 failed`, with `, 1 skipped` where some were. */
export const summary = ({passed, failed, skipped}: Tally): string =>
  `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`

/**
 * An error for the end of the run: its message, what differs, and where in the repository at `root` it was thrown.
 * Without colours and blank lines.
 */
export function errorLines(
  error: {name?: string; message: string; diff?: string | undefined; stack?: string},
  root: string,
): string[] {
  const frames = (error.stack ?? '').split('\n').filter(line => /^\s+at /.test(line))
  const ours = frames.find(line => line.includes(`${root}/`) && !line.includes('node_modules'))
  const named = error.name && error.name !== 'Error' ? `${error.name}: ` : ''
  return [
    `${named}${error.message}`,
    error.diff ?? '',
    ours?.trim().replaceAll(`${root}/`, '') ?? '',
  ].flatMap(outputLines)
}

/** The lines of what a program wrote, without colours and blank lines. */
export const outputLines = (text: string): string[] =>
  stripColours(text)
    .split('\n')
    .filter(line => line.trim() !== '')

// biome-ignore lint/suspicious/noControlCharactersInRegex: ESC begins what is taken out
const stripColours = (text: string): string => text.replace(/\u001b\[[0-9;]*m/g, '')

/** Widest line of the account: a log viewer does not wrap it. */
const width = 160

/** Lines for one failure, its name included. */
const linesEach = 12

function cut(text: string): string {
  const line = text.replace(/\p{Cc}/gu, ' ')
  return line.length > width ? `${line.slice(0, width - 1)}…` : line
}

const title = ({file, name}: Outcome): string => `FAILED ${[file, name].filter(Boolean).join(' > ')}`

/**
 * Each failure by file and name with the beginning of its error, in at most `budget` lines: of many failures the names
 * matter more than the errors, so the lines are shared out evenly, and what finds no room is counted.
 */
export function tellFailures(outcomes: readonly Outcome[], budget: number): string[] {
  const failed = outcomes.filter(({state}) => state === 'failed')
  const shown = failed.length <= budget ? failed : failed.slice(0, budget - 1)
  const each = Math.min(linesEach, Math.floor(budget / Math.max(shown.length, 1)))
  const lines = shown.flatMap(failure => [
    title(failure),
    ...shorten(failure.lines, each - 1).map(line => `    ${line}`),
  ])
  const rest = failed.length - shown.length
  return [...lines, ...(rest > 0 ? [`and ${rest} more`] : [])].map(cut)
}

/** The last line says where, so it is kept. */
const shorten = (lines: readonly string[], most: number): readonly string[] =>
  lines.length <= most ? lines : [...lines.slice(0, Math.max(most - 1, 0)), ...lines.slice(-1)].slice(0, most)

/** Skipped tests, counted for each file and reason, in at most `budget` lines. */
export function tellSkipped(outcomes: readonly Outcome[], budget: number): string[] {
  const counts = new Map<string, number>()
  for (const {state, file, lines} of outcomes) {
    if (state !== 'skipped') continue
    const key = `${file}: ${lines[0] ?? 'no reason given'}`
    counts.set(key, (counts.get(key) ?? 0) + 1)
  }
  const lines = [...counts].map(([key, count]) => cut(`${count} skipped in ${key}`))
  return lines.length <= budget
    ? lines
    : [...lines.slice(0, budget - 1), `and others in ${lines.length - budget + 1} more places`]
}
