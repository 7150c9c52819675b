import fc from 'fast-check'
import {describe, expect, test, vi} from 'vitest'
import {type CommandOutcome, labelValue, startLabels} from '../../../src/lib/node/labels.js'
import {atEnd} from '../../support/cleanup.js'

const log = () => ({warn: vi.fn(), info: vi.fn()})

async function labelsOf(commands: Record<string, [command: string[], periodMs?: number]>, fixed = {}) {
  const told = log()
  const labels = await startLabels({
    fixed,
    commands: Object.entries(commands).map(([name, [command, periodMs = 60_000]]) => ({
      name,
      command,
      periodMs,
    })),
    log: told,
  })
  atEnd(labels.close)
  return {labels, told}
}

describe('the labels of a node', () => {
  test('are the fixed ones, and what programs say, trimmed', async () => {
    const {labels} = await labelsOf({kernel: [['printf', '  5.10\n\n']]}, {env: 'prod'})
    expect(labels.current()).toEqual({env: 'prod', kernel: '5.10'})
  })

  test.each([
    [['false'], 'it ended with status 1'],
    [['sh', '-c', 'echo half; exit 3'], 'it ended with status 3 output: half'],
    [['/nowhere/program'], 'no such file or directory'],
    [['sh', '-c', 'kill -KILL $$'], 'it was ended by SIGKILL'],
    [['sh', '-c', 'head -c 200000 /dev/zero | tr "\\0" x; sleep 9'], 'it said too much'],
  ])('of the program %j are the error’s text', async (command, value) => {
    const {labels} = await labelsOf({broken: [command]})
    expect(labels.current()).toEqual({broken: value})
  })

  test('of a program that does not end, with all it has started, are its error after a period', async () => {
    const {labels} = await labelsOf({slow: [['sh', '-c', 'sleep 60 & sleep 60'], 1]})
    expect(labels.current()).toEqual({slow: 'it did not end in time'})
  })

  test('are asked for again each period, which is raised to a second, with a warning', async () => {
    vi.useFakeTimers()
    try {
      const told = log()
      let asked = 0
      const labels = await startLabels({
        fixed: {},
        commands: [{name: 'n', command: ['count'], periodMs: 10}],
        log: told,
        run: async () => ({stdout: String(++asked)}),
      })
      expect(told.warn).toHaveBeenCalledTimes(1)
      await vi.advanceTimersByTimeAsync(999)
      expect(labels.current()).toEqual({n: '1'})
      await vi.advanceTimersByTimeAsync(1)
      expect(labels.current()).toEqual({n: '2'})
      labels.close()
      await vi.advanceTimersByTimeAsync(5000)
      expect(asked).toBe(2)
    } finally {
      vi.useRealTimers()
    }
  })

  test('are one line of bounded, visible text, whatever a program says', () => {
    const outcome: fc.Arbitrary<CommandOutcome> = fc.record(
      {stdout: fc.string({unit: 'binary', maxLength: 600}), error: fc.string({maxLength: 60})},
      {requiredKeys: ['stdout']},
    )
    fc.assert(
      fc.property(outcome, said => {
        const value = labelValue(said)
        expect(value.length).toBeLessThanOrEqual(256)
        expect(value).not.toMatch(/[\p{Cc}\p{Cs}]/u)
        expect(value).toBe(value.trim())
      }),
    )
  })
})
