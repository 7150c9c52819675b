// What vitest found, for scripts/test.ts. Its own JSON report leaves out failed hooks, errors outside of every test
// and the reasons why tests were skipped.
import {writeFileSync} from 'node:fs'
import {relative} from 'node:path'
import type {Reporter, SerializedError, TestCase, TestModule, TestSuite} from 'vitest/node'
import {errorLines, type Outcome} from './tally.js'

declare module 'vitest' {
  interface TaskMeta {
    /** Why tests cannot run here, where they are skipped for it. */
    lack?: string
  }
}

/** A reporter for vitest's `--reporter`: an `Outcome[]` as JSON in the file that SALLYPORT_TEST_REPORT names. */
export default function outcomeReporter(): Reporter {
  return {
    onTestRunEnd(modules, unhandled) {
      const path = process.env.SALLYPORT_TEST_REPORT
      if (!path) throw new Error('SALLYPORT_TEST_REPORT is not set: it names the file for the report')
      const outcomes = [...modules.flatMap(ofModule), ...unhandled.map(outsideOfTests)]
      writeFileSync(path, JSON.stringify(outcomes))
    },
  }
}

const root = process.cwd()

const detail = (errors: readonly SerializedError[]): string[] =>
  errors.flatMap(error => errorLines({...error, diff: error.diff as string | undefined}, root))

const ofModule = (module: TestModule): Outcome[] => [
  ...[...module.children.allTests()].map(ofTest),
  ...[...module.children.allSuites()].flatMap(suite => ofErrors(suite, suite.fullName)),
  ...ofErrors(module, ''),
]

function ofTest(test: TestCase): Outcome {
  const result = test.result()
  const ms = Math.round(test.diagnostic()?.duration ?? 0)
  const common = {file: test.module.relativeModuleId, name: test.fullName, ms}
  if (result.state === 'passed') return {...common, state: 'passed', lines: []}
  if (result.state === 'failed') return {...common, state: 'failed', lines: detail(result.errors)}
  const note = result.state === 'skipped' ? result.note : undefined
  const reason = note ?? test.meta().lack ?? (wasPrevented(test.parent) ? 'its set-up failed' : undefined)
  return {...common, state: 'skipped', lines: reason ? [reason] : []}
}

/** Whether a hook failed of the groups and the file that a test is in. */
const wasPrevented = (place: TestModule | TestSuite): boolean =>
  place.errors().length > 0 || (place.type === 'suite' && wasPrevented(place.parent))

/** Errors of a file or a group itself: it could not be loaded, or a hook failed. */
function ofErrors(entity: TestModule | TestSuite, name: string): Outcome[] {
  const errors = entity.errors()
  if (errors.length === 0) return []
  const file = entity.type === 'module' ? entity.relativeModuleId : entity.module.relativeModuleId
  return [
    {
      file,
      name: [name, 'outside of its tests'].filter(Boolean).join(' > '),
      state: 'failed',
      ms: 0,
      lines: detail(errors),
    },
  ]
}

function outsideOfTests(error: SerializedError): Outcome {
  const {VITEST_TEST_PATH: path, VITEST_TEST_NAME: name} = error
  return {
    file: typeof path === 'string' ? relative(root, path) : '',
    name: `${typeof name === 'string' ? `${name} > ` : ''}an error that nobody handled`,
    state: 'failed',
    ms: 0,
    lines: detail([error]),
  }
}
