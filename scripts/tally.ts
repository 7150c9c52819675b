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

/** The part of vitest's JSON report that is counted. */
interface Report {
  testResults: {status: string; assertionResults: {status: string}[]}[]
}

/**
 * Counts a vitest report. A file that failed before its tests ran is one failure, and so is a run that ended badly
 * with no failed test in its report (an error outside every test, a crash, no report at all).
 */
export function countTests(report: Report | undefined, exitCode: number | null): Tally {
  const tally = {...none}
  for (const {status, assertionResults} of report?.testResults ?? []) {
    for (const test of assertionResults) {
      if (test.status === 'passed') tally.passed += 1
      else if (test.status === 'failed') tally.failed += 1
      else tally.skipped += 1
    }
    if (status === 'failed' && !assertionResults.some(test => test.status === 'failed')) tally.failed += 1
  }
  if (exitCode !== 0 && tally.failed === 0) tally.failed = 1
  return tally
}

/** `12 passed, 0 failed`, with `, 1 skipped` where some were. */
export const summary = ({passed, failed, skipped}: Tally): string =>
  `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`
