import {type ChildProcess, fork} from 'node:child_process'
import {once} from 'node:events'
import {join} from 'node:path'
import {createInterface} from 'node:readline'
import {fileURLToPath} from 'node:url'
import {expect, it} from 'vitest'
import {problem} from '../../../src/lib/errors/index.js'
import type {OutboxAuth} from '../../../src/lib/outbox/index.js'
import {atEnd} from '../../support/cleanup.js'
import {eventually} from '../../support/eventually.js'
import {temporaryDirectory} from '../../support/temporary-directory.js'
import {delivered, type FakeAuth, openFakeAuth, openOutbox, recorded, spoolFiles} from './fixture.js'

const script = fileURLToPath(new URL('../../support/outbox-writer.ts', import.meta.url))

/** Runs the process that is there to be killed, with this auth; resolves when it has been, after so many words of it. */
async function killedAfter(words: number, directory: string, auth: FakeAuth, said: string[]): Promise<void> {
  const child = fork(script, [directory], {
    execArgv: ['--import', 'tsx'],
    serialization: 'advanced',
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  })
  const undo = atEnd(() => void child.kill('SIGKILL'))
  answer(child, auth)
  const exited = once(child, 'exit')
  let heard = 0
  const lines = createInterface({input: child.stdout as NodeJS.ReadableStream})
  lines.on('line', line => {
    said.push(line)
    if (++heard === words) child.kill('SIGKILL')
  })
  await Promise.all([exited, once(lines, 'close')])
  undo()
}

/** The auth service over the connection to the process; what it asked last may be carried out after its death. */
function answer(child: ChildProcess, auth: FakeAuth): void {
  type Call = {id: number; method: keyof OutboxAuth; parameters: never[]}
  child.on('message', async ({id, method, parameters}: Call) => {
    const tell = (error?: string): void => void (child.connected && child.send({id, error}, () => undefined))
    try {
      await (auth[method] as (...values: never[]) => Promise<unknown>)(...parameters)
      tell()
    } catch (error) {
      tell(String(error))
    }
  })
}

/** Each process of a row is killed at another moment, while auth comes and goes. */
it('kill -9 at any moment loses nothing that was acknowledged, makes nothing twice, and keeps the order', async () => {
  const root = temporaryDirectory()
  const directory = join(root, 'outbox')
  const auth = await openFakeAuth(root)
  const said: string[] = []
  let calls = 0
  auth.fault = () => {
    calls++
    const cut = problem('unavailable', 'cut')
    if (calls % 400 > 250) return {when: 'before', error: cut}
    return calls % 7 === 0 ? {when: calls % 2 === 0 ? 'before' : 'after', error: cut} : undefined
  }
  for (const words of [1, 7, 60, 150, 333, 600]) await killedAfter(words, directory, auth, said)
  auth.fault = () => undefined
  const outbox = await openOutbox({directory, auth})
  await delivered(outbox)
  await eventually(() => spoolFiles(directory).length === 0)
  expect(outbox.logged.filter(line => line.includes('damaged') || line.includes('does not take'))).toEqual([])

  const trail = auth.trail()
  expect(new Set(trail.map(({uid}) => uid)).size).toBe(trail.length)
  const acknowledged = said.map(line => line.split(' '))
  const hosts = trail.flatMap(({event, user}) => (event === 'port' ? [String(user)] : []))
  for (const [kind, user] of acknowledged) if (kind === 'host') expect(hosts).toContain(user)
  for (const pid of new Set(hosts.map(user => user.split('-')[0]))) {
    const numbers = hosts.flatMap(user => (user.startsWith(`${pid}-`) ? [Number(user.split('-')[1])] : []))
    expect(numbers).toEqual(numbers.map((_, i) => i))
  }

  const sids = new Set(trail.flatMap(({sid}) => (sid === undefined ? [] : [sid])))
  expect(sids.size).toBeGreaterThan(20)
  for (const sid of sids) {
    const own = trail.filter(record => record.sid === sid)
    const numbers = own.flatMap(({number}) => (typeof number === 'number' ? [number] : []))
    expect(numbers).toEqual(numbers.map((_, i) => i))
    for (const [kind, id, , number] of acknowledged)
      if (kind === 'event' && id === sid) expect(numbers).toContain(Number(number))
    for (const event of ['session.upload', 'session.end'])
      expect([sid, event, own.filter(record => record.event === event).length]).toEqual([sid, event, 1])
    expect(own.at(-1)?.event).toBe('session.end')
    const {text, state} = await recorded(auth, sid)
    const wasSealed = acknowledged.some(([kind, id]) => kind === 'sealed' && id === sid)
    if (wasSealed) expect(state).toBe('sealed')
    for (const [kind, id, line] of acknowledged)
      if (kind === 'line' && id === sid) expect(text).toContain(`line ${line} of ${sid}`)
  }
}, 180_000)
