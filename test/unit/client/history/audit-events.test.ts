import {expect, test} from 'vitest'
import type {AuditEvent, AuditQuery} from '../../../../src/lib/audit/index.js'
import {allEvents, eventQuery, followEvents} from '../../../../src/lib/client/history/audit-events.js'

/** A log of events, and what was asked of it. */
function logOf(count: number) {
  const events: AuditEvent[] = []
  const asked: AuditQuery[] = []
  const add = (user = 'joe') => {
    const seq = events.length + 1
    events.push({seq, user, event: 'user.login'} as AuditEvent)
    return seq
  }
  for (let i = 0; i < count; i++) add()
  const listEvents = async (query: AuditQuery): Promise<AuditEvent[]> => {
    asked.push(query)
    const {after = 0, user, order, limit = 200} = query
    const found = events.filter(event => event.seq > after && (user === undefined || event.user === user))
    return (order === 'oldest' ? found : found.reverse()).slice(0, limit)
  }
  return {add, asked, listEvents}
}

const numbers = (from: number, to: number): number[] =>
  Array.from({length: to - from + 1}, (_, i) => from + i)

test.each([0, 1, 2000, 2001, 6500])('all of %i events come, in their order, page by page', async count => {
  const log = logOf(count)
  const seqs: number[] = []
  for await (const {seq} of allEvents(log, {})) seqs.push(seq)
  expect(seqs).toEqual(numbers(1, count))
  expect(Math.max(...log.asked.map(({limit = 0}) => limit))).toBe(2000)
})

test('following gives the last ones, then each new one once, however many come at a time', async () => {
  const log = logOf(30)
  const turns = [
    () => 0,
    () => log.add(),
    () => 0,
    () => numbers(1, 4500).map(() => log.add()),
    () => log.add(),
  ]
  const events = followEvents(log, {limit: 10}, async () => {
    const turn = turns.shift()
    if (!turn) throw new Error('enough')
    turn()
  })
  const seqs: number[] = []
  await expect(async () => {
    for await (const {seq} of events) seqs.push(seq)
  }).rejects.toThrow('enough')
  expect(seqs).toEqual(numbers(21, 4532))
})

test('following what is rare looks at what is new alone', async () => {
  const log = logOf(500)
  let turns = 0
  const events = followEvents(log, {user: 'ann', limit: 10}, async () => {
    turns += 1
    if (turns > 5) throw new Error('enough')
    log.add(turns === 4 ? 'ann' : 'joe')
  })
  const users: unknown[] = []
  await expect(async () => {
    for await (const {user} of events) users.push(user)
  }).rejects.toThrow('enough')
  expect(users).toEqual(['ann'])
  expect(log.asked.slice(2).every(({after = 0}) => after >= 500)).toBe(true)
})

test('flags become a query', () => {
  const sid = '5e1f0d3a-9c1b-4c3e-8a55-0d6a4a1f2b7c'
  const now = Date.parse('2025-11-21T12:00:00Z')
  expect(eventQuery({}, now)).toEqual({})
  expect(
    eventQuery(
      {event: ['exec'], user: 'joe', host: 'db1', login: 'root', sid: sid.toUpperCase(), last: '1h'},
      now,
    ),
  ).toEqual({
    ...{event: ['exec'], user: 'joe', host: 'db1', login: 'root', sid},
    from: new Date('2025-11-21T11:00:00Z'),
  })
})

test('a session is found however its ID is written, and what failed by itself', () => {
  expect(eventQuery({sid: 'ABCDEF00-1111-4222-8333-ABCDEFABCDEF', failed: true}, 0)).toEqual({
    ...{sid: 'abcdef00-1111-4222-8333-abcdefabcdef', success: false},
  })
})

test.each([
  ['sesion.start', /there is session\.start$/],
  ['session.finish', /session\.start, session\.join/],
  ['sftp', /sftp\.open/],
  ['LOGIN', /user\.login/],
  ['User.Login', /user\.login/],
  ['nonsense', /docs\/audit-log\.md/],
  ['', /docs\/audit-log\.md/],
  ['__proto__', /docs\/audit-log\.md/],
])('%j is no event, and near ones are named', (name, hint) => {
  const ask = () => eventQuery({event: ['exec', name]}, 0)
  expect(ask).toThrow(expect.objectContaining({code: 'usage', hint: expect.stringMatching(hint)}))
})
