import {describe, expect, test} from 'vitest'
import {add, countTests, none, step, summary} from '../../../scripts/tally.js'
import {missingPackages} from '../../../scripts/tools.js'

const file = (status: string, ...tests: string[]) => ({
  status,
  assertionResults: tests.map(result => ({status: result})),
})

describe('the count of a test run', () => {
  test('adds the tests of all files, and names the skipped ones only when there are any', () => {
    const report = {testResults: [file('passed', 'passed', 'passed'), file('failed', 'failed', 'passed')]}
    expect(summary(countTests(report, 1))).toBe('3 passed, 1 failed')
    const skipping = {testResults: [file('passed', 'passed', 'skipped', 'todo')]}
    expect(summary(countTests(skipping, 0))).toBe('1 passed, 0 failed, 2 skipped')
  })

  test('a file that could not be loaded is a failure', () => {
    const report = {testResults: [file('failed'), file('passed', 'passed')]}
    expect(countTests(report, 1)).toEqual({passed: 1, failed: 1, skipped: 0})
    expect(countTests({testResults: [file('failed', 'passed')]}, 1).failed).toBe(1)
  })

  test('a run that ends badly is a failure even where every reported test passed', () => {
    expect(countTests({testResults: [file('passed', 'passed')]}, 1)).toEqual({
      passed: 1,
      failed: 1,
      skipped: 0,
    })
    expect(countTests(undefined, null).failed).toBe(1)
    expect(countTests(undefined, 0).failed).toBe(0)
  })

  test('steps without tests count as one', () => {
    expect(add(step(true), add(step(false), none))).toEqual({passed: 1, failed: 1, skipped: 0})
  })

  test('missing programs are named by the package that brings them', () => {
    expect(missingPackages(command => command !== 'sshd')).toEqual(['openssh-server'])
    expect(missingPackages(() => true)).toEqual([])
  })
})
