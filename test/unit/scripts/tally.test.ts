import {describe, expect, test} from 'vitest'
import {
  add,
  countTests,
  errorLines,
  none,
  type Outcome,
  step,
  summary,
  tellFailures,
  tellSkipped,
} from '../../../scripts/tally.js'
import {missingPackages} from '../../../scripts/tools.js'

const outcome = (state: Outcome['state'], name = 'a test', lines: string[] = []): Outcome => ({
  ...{file: 'test/unit/some.test.ts', name, state, ms: 1, lines},
})
const passed = outcome('passed')
const failed = outcome('failed')
const skipped = outcome('skipped')

describe('the count of a test run', () => {
  test('names the skipped ones only when there are any', () => {
    expect(summary(countTests([passed, passed, failed, passed], 1))).toBe('3 passed, 1 failed')
    expect(summary(countTests([passed, skipped, skipped], 0))).toBe('1 passed, 0 failed, 2 skipped')
  })

  test('a run that ends badly is a failure even where every reported test passed', () => {
    expect(countTests([passed], 1)).toEqual({passed: 1, failed: 1, skipped: 0})
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

describe('an error at the end of a run', () => {
  test('is its message, what differs and the first place in the repository, without colours', () => {
    const error = {
      name: 'AssertionError',
      message: 'expected 1 to be 2',
      diff: '\u001b[32m- Expected\u001b[39m\n\n\u001b[31m+ 1\u001b[39m',
      stack: [
        'AssertionError: expected 1 to be 2',
        '    at run (file:///repo/node_modules/vitest/x.js:1:1)',
        '    at /repo/test/unit/some.test.ts:7:3',
        '    at /repo/test/support/other.ts:1:1',
      ].join('\n'),
    }
    expect(errorLines(error, '/repo')).toEqual([
      'AssertionError: expected 1 to be 2',
      '- Expected',
      '+ 1',
      'at test/unit/some.test.ts:7:3',
    ])
  })

  test('needs no stack and no difference', () => {
    expect(errorLines({message: 'gone'}, '/repo')).toEqual(['gone'])
  })
})

describe('the failures at the end of a run', () => {
  const long = Array.from({length: 30}, (_, line) => `line ${line}`)

  test('one has its file, its full name, and no more of its error than twelve lines hold, the place included', () => {
    const told = tellFailures([passed, outcome('failed', 'group > it works', long)], 20)
    expect(told[0]).toBe('FAILED test/unit/some.test.ts > group > it works')
    expect(told).toHaveLength(12)
    expect(told.slice(-2)).toEqual(['    line 9', '    line 29'])
  })

  test('several share the lines evenly', () => {
    const told = tellFailures(
      [1, 2, 3, 4].map(name => outcome('failed', `${name}`, long)),
      20,
    )
    expect(told).toHaveLength(20)
    expect(told.filter(line => !line.startsWith(' ')).map(line => line.slice(-1))).toEqual([
      '1',
      '2',
      '3',
      '4',
    ])
  })

  test('of too many there are the names, and a count of those left out', () => {
    const told = tellFailures(
      Array.from({length: 100}, (_, name) => outcome('failed', `${name}`, long)),
      20,
    )
    expect(told).toHaveLength(20)
    expect(told[18]).toBe('FAILED test/unit/some.test.ts > 18')
    expect(told[19]).toBe('and 81 more')
  })

  test('an endless line is cut, and no name takes more than a line', () => {
    const [name, line] = tellFailures([outcome('failed', 'x\n\u001b[2Jy', ['y'.repeat(10_000)])], 20)
    expect(name).toBe('FAILED test/unit/some.test.ts > x  [2Jy')
    expect(line).toHaveLength(160)
  })

  test('there are none where none failed', () => {
    expect(tellFailures([passed, skipped], 20)).toEqual([])
  })
})

describe('the skipped tests at the end of a run', () => {
  test('are counted for each file and reason', () => {
    const told = tellSkipped(
      [outcome('skipped', 'a', ['needs root']), outcome('skipped', 'b', ['needs root']), skipped],
      5,
    )
    expect(told).toEqual([
      '2 skipped in test/unit/some.test.ts: needs root',
      '1 skipped in test/unit/some.test.ts: no reason given',
    ])
  })

  test('take no more lines than they may', () => {
    const many = Array.from({length: 9}, (_, reason) => outcome('skipped', 'a', [`reason ${reason}`]))
    expect(tellSkipped(many, 3)).toEqual([
      '1 skipped in test/unit/some.test.ts: reason 0',
      '1 skipped in test/unit/some.test.ts: reason 1',
      'and others in 7 more places',
    ])
  })
})
