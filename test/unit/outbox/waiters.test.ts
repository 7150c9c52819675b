import {beforeEach, describe, expect, it} from 'vitest'
import {createWaiters, type Waiters} from '../../../src/lib/outbox/waiters.js'

let waiters: Waiters
let said: string[]

beforeEach(() => {
  waiters = createWaiters()
  said = []
})

const waitFor = (steps: number): Promise<unknown> =>
  waiters.until(steps).then(
    () => said.push(`${steps} reached`),
    error => said.push(`${steps} ${error.message}`),
  )

describe('whoever waits until auth has what was given', () => {
  it('goes on when so much of it is there, and not before', async () => {
    const [second, fifth] = [waitFor(2), waitFor(5)]
    waiters.reached(1)
    waiters.reached(4)
    await second
    expect(said).toEqual(['2 reached'])
    waiters.reached(5)
    await fifth
    expect(said).toEqual(['2 reached', '5 reached'])
  })

  it('learns why it cannot be told, once; those who come later wait', async () => {
    const all = [waitFor(1), waitFor(2)]
    waiters.fail(new Error('gone'))
    await Promise.all(all)
    const later = waitFor(3)
    waiters.reached(3)
    await later
    expect(said).toEqual(['1 gone', '2 gone', '3 reached'])
  })
})
