import {afterEach, beforeEach, describe, expect, it} from 'vitest'
import {problem} from '../../../src/lib/errors/index.js'
import type {Session} from '../../../src/lib/outbox/sessions.js'
import {createSpooling, type Spooling} from '../../../src/lib/outbox/spooling.js'
import type {Step} from '../../../src/lib/outbox/types.js'

let lanes: {id: string; kept: [number, number]; told: [number, number]; since?: number}[]
let unread: Set<string>
let away: unknown
let clock: number
let logged: string[]
let spooling: Spooling

const count = ([steps, events]: [number, number]) => ({steps, events})
const note = (fields: object, message: string) => void logged.push(`${message} ${JSON.stringify(fields)}`)

beforeEach(() => {
  ;[lanes, unread, away, clock, logged] = [[], new Set(), undefined, 1000, []]
  spooling = createSpooling({
    sessions: {
      all: () =>
        lanes.map(({id, kept, told, since}) => ({
          ...({id, lane: {kept: count(kept), told: count(told), waitingSince: since}} as Session),
        })),
      unread,
    },
    budget: {used: 77},
    away: () => away,
    now: () => clock,
    log: {info: note, warn: note, error: note},
  })
})

afterEach(() => spooling.close())

describe('what waits', () => {
  it('is events by their number, recordings by their sessions, and as old as the oldest', () => {
    lanes = [
      {id: 'a', kept: [10, 4], told: [7, 3], since: 500},
      {id: 'b', kept: [3, 3], told: [1, 1], since: 400},
      {id: 'c', kept: [5, 1], told: [5, 1]},
    ]
    expect(spooling.status()).toEqual({events: 3, recordings: 1, bytes: 77, oldest: 400})
  })

  it('counts a session that was not read yet as a recording, whatever is known of it', () => {
    unread.add('a')
    lanes = [{id: 'a', kept: [9, 9], told: [0, 0], since: 1}]
    expect(spooling.status()).toEqual({events: 0, recordings: 1, bytes: 77})
  })

  it('says why it cannot be told', () => {
    away = problem('unavailable', 'cut')
    expect(spooling.status()).toMatchObject({away: 'cut'})
  })
})

it('one line when auth goes, one when it is back, one when it has everything, with what that was', () => {
  const seal = {kind: 'seal'} as Step
  const event = {kind: 'event'} as Step
  spooling.delivered([event])
  spooling.settled()
  expect(logged).toEqual([])
  spooling.wentAway(problem('unavailable', 'cut'))
  clock += 42_000
  spooling.cameBack()
  lanes = [{id: 'a', kept: [1, 1], told: [0, 0]}]
  spooling.settled()
  spooling.delivered([event, event])
  spooling.delivered([seal])
  lanes = []
  spooling.settled()
  spooling.settled()
  expect(logged.map(line => line.replace(/ \{.*/, ''))).toEqual([
    'the auth service cannot be told: events and recordings are kept until it can',
    'the auth service is back: what was kept is being delivered',
    'all that was kept is delivered',
  ])
  expect(logged.at(-1)).toContain('{"events":2,"recordings":1,"seconds":42}')
})

describe('the end waits', () => {
  beforeEach(() => {
    lanes = [{id: 'a', kept: [1, 1], told: [0, 0]}]
  })

  it('until auth has everything', async () => {
    const settled = spooling.untilSettled(3_600_000)
    lanes = []
    spooling.settled()
    await settled
    expect(spooling.status()).toMatchObject({events: 0})
  })

  it('until auth goes', async () => {
    const settled = spooling.untilSettled(3_600_000)
    spooling.wentAway(problem('unavailable', 'cut'))
    await settled
    spooling.close()
    expect(logged.at(-1)).toContain('waits for the next start {"events":1')
  })

  it('not at all while auth is away, and no longer than it may', async () => {
    await spooling.untilSettled(1)
    away = problem('unavailable', 'cut')
    await spooling.untilSettled(3_600_000)
    expect(spooling.status()).toMatchObject({events: 1, away: 'cut'})
  })
})
