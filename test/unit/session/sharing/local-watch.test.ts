import {PassThrough, Writable} from 'node:stream'
import {expect, test} from 'vitest'
import {watchHere} from '../../../../src/lib/session/sharing/local-watch.js'
import type {Joiner} from '../../../../src/lib/session/sharing/members.js'
import type {Party} from '../../../../src/lib/session/sharing/party.js'

/** A session that runs, and who has joined it. */
function session() {
  const joined: Joiner[] = []
  const left: string[] = []
  const party: Pick<Party, 'join'> = {
    async join(joiner) {
      joined.push(joiner)
      return {id: '1', input: () => undefined, leave: async () => void left.push(joiner.user)}
    },
  }
  return {joined, left, hub: {find: (sid: string) => (sid === 'here' ? (party as Party) : undefined)}}
}

const turn = () => new Promise(resolve => setImmediate(resolve))

test('the administrator of the machine only looks on, without a role and without an address', async () => {
  const {hub, joined, left} = session()
  const output = new PassThrough()
  const watching = watchHere(hub, 'here', output)
  await turn()
  expect(joined).toMatchObject([{user: 'admin', roles: [], mode: 'observer'}])
  expect(joined[0]).not.toHaveProperty('address')
  output.destroy()
  expect(await watching).toBe(true)
  expect(left).toEqual(['admin'])
})

test('a session that is not here, or a machine that holds none, is said', async () => {
  const output = new PassThrough()
  expect(await watchHere(session().hub, 'elsewhere', output)).toBe(false)
  expect(await watchHere(undefined, 'here', output)).toBe(false)
})

test('what is shown comes in its order, and the end last', async () => {
  const {hub, joined} = session()
  const output = new PassThrough()
  const watching = watchHere(hub, 'here', output)
  await turn()
  const seat = joined[0]?.seat
  seat?.resize({columns: 80, rows: 24})
  seat?.show('one ')
  seat?.show('two')
  seat?.tell('joe has left')
  seat?.close()
  seat?.show('too late')
  const frames = (await output.toArray())
    .join('')
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line))
  await watching
  expect(frames[0]).toEqual({size: {columns: 80, rows: 24}})
  expect(frames.flatMap(({show}) => show ?? []).join('')).toMatch(/^one two/)
  expect(frames.at(-1)).toEqual({end: true})
})

test('who takes nothing is known to, what waits for them can be dropped, and they are told when it is gone', async () => {
  const {hub, joined} = session()
  const written: string[] = []
  let go = (): void => undefined
  const output = new Writable({
    write(chunk, _encoding, done) {
      written.push(String(chunk))
      go = done
    },
  })
  void watchHere(hub, 'here', output)
  await turn()
  const seat = joined[0]?.seat
  let drained = 0
  if (seat) seat.onDrained = () => (drained += 1)
  seat?.show('first')
  for (let i = 0; i < 1000; i += 1) seat?.show('x'.repeat(1000))
  expect(seat?.waiting).toBeGreaterThan(1_000_000)
  expect(output.writableLength).toBeLessThan(100)
  seat?.forget()
  expect(seat?.waiting).toBeLessThan(100)
  expect(drained).toBe(0)
  go()
  await turn()
  expect(drained).toBe(1)
  expect(written).toEqual(['{"show":"first"}\n'])
  output.destroy()
})
