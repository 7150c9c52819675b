import {describe, expect, test} from 'vitest'
import {problem} from '../../../src/lib/errors/index.js'
import {createAtMost, createKeyedTurn, createTurn, mapParallel} from '../../../src/lib/waiting/index.js'

/** A job that ends when it is told to; `begun` says which ones have begun. */
function controlled() {
  const begun: string[] = []
  const ends = new Map<string, {end(): void; fail(error: Error): void}>()
  return {
    begun,
    job: (name: string) => (): Promise<string> =>
      new Promise((resolve, reject) => {
        begun.push(name)
        ends.set(name, {end: () => resolve(name), fail: reject})
      }),
    end: (name: string): void => ends.get(name)?.end(),
    fail: (name: string, error: Error): void => ends.get(name)?.fail(error),
  }
}

const code = (thrown: unknown) => (thrown as {code?: string}).code

describe('jobs in turn', () => {
  test('begin when the one before has ended, and each has its own answer', async () => {
    const {begun, job, end} = controlled()
    const inTurn = createTurn()
    const [a, b] = [inTurn(job('a')), inTurn(job('b'))]
    await Promise.resolve()
    expect(begun).toEqual(['a'])
    end('a')
    expect(await a).toBe('a')
    await Promise.resolve()
    expect(begun).toEqual(['a', 'b'])
    end('b')
    expect(await b).toBe('b')
  })

  test('go on after one that failed, and are given nothing of it', async () => {
    const inTurn = createTurn()
    const failed = inTurn(() => Promise.reject(new Error('no')))
    const next = inTurn(async (...given: unknown[]) => given)
    await expect(failed).rejects.toThrow('no')
    expect(await next).toEqual([])
  })
})

describe('jobs in turn by key', () => {
  const most = {most: 2, tooMany: () => problem('rate_limited', 'too many')}

  test('wait for those of their key alone', async () => {
    const {begun, job, end} = controlled()
    const inTurn = createKeyedTurn()
    const all = [inTurn('x', job('x1')), inTurn('x', job('x2')), inTurn('y', job('y1'))]
    await Promise.resolve()
    expect(begun).toEqual(['x1', 'y1'])
    end('x1')
    await all[0]
    end('y1')
    await all[2]
    expect(begun).toEqual(['x1', 'y1', 'x2'])
    end('x2')
    await all[1]
  })

  test('are refused where too many of a key wait, and taken again later', async () => {
    const {job, end, fail} = controlled()
    const inTurn = createKeyedTurn(most)
    const [a, b] = [inTurn('x', job('a')), inTurn('x', job('b'))]
    expect(await inTurn('x', job('c')).catch(code)).toBe('rate_limited')
    expect(await inTurn('y', async () => 'free')).toBe('free')
    fail('a', new Error('no'))
    await expect(a).rejects.toThrow('no')
    await Promise.resolve()
    end('b')
    await b
    expect(await inTurn('x', async () => 'again')).toBe('again')
  })
})

test('a few jobs run, a few wait in order, the rest are refused', async () => {
  const {begun, job, end, fail} = controlled()
  const run = createAtMost({running: 2, waiting: 1, tooMany: () => problem('unavailable', 'too many')})
  const [a, b, c] = ['a', 'b', 'c'].map(name => run(job(name)))
  expect(begun).toEqual(['a', 'b'])
  expect(await run(job('d')).catch(code)).toBe('unavailable')
  fail('a', new Error('no'))
  await expect(a).rejects.toThrow('no')
  expect(begun).toEqual(['a', 'b', 'c'])
  end('b')
  end('c')
  expect(await Promise.all([b, c])).toEqual(['b', 'c'])
  expect(await run(async () => 'free')).toBe('free')
})

describe('work on many items', () => {
  test('is done a few at a time, with answers in the order of the items', async () => {
    let running = 0
    let most = 0
    const answers = await mapParallel([5, 4, 3, 2, 1], 2, async item => {
      most = Math.max(most, ++running)
      for (let i = 0; i < item; i++) await Promise.resolve()
      running--
      return item * 10
    })
    expect(answers).toEqual([50, 40, 30, 20, 10])
    expect(most).toBe(2)
  })

  test('fails with the first failure', async () => {
    await expect(mapParallel([1, 2], 2, item => Promise.reject(new Error(`failed ${item}`)))).rejects.toThrow(
      'failed 1',
    )
  })
})
