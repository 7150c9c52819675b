import {beforeAll, describe, expect, it} from 'vitest'
import {chance} from '../support/chance.js'
import {type Cluster, startCluster} from '../support/cluster.js'
import {eventually} from '../support/eventually.js'
import {addToAgent, type Event, type Field, login, startField, type UserKey} from '../support/field.js'
import {start} from '../support/process.js'
import {type Received, receive} from '../support/received.js'
import type {Sshd} from '../support/sshd.js'

/** In a strict session whatever the user has seen is in the recording, also when the service is killed. */
let field: Field
let cluster: Cluster
let target: Sshd
let joe: UserKey

beforeAll(async () => {
  field = await startField({auth_service: {session_recording: 'proxy-sync'}})
  cluster = field.cluster
  target = await field.target()
  joe = await field.userKey()
  await addToAgent(field.agent, joe)
})

const session = (words: string[], command: string): Received => {
  const way = field.throughSubsystem(joe, {port: cluster.addresses.ssh.port})
  const where = ['-p', String(target.port), `${login}@127.0.0.1`]
  return receive(start('ssh', [...words, ...way, ...where, command], {env: field.agent.env}))
}
const named = (sid: string, event: string): Event[] =>
  field.events().filter(record => record.sid === sid && record.event === event)
const latest = (): string =>
  String(
    field
      .events()
      .filter(({event}) => event === 'session.start')
      .at(-1)?.sid,
  )
const recorded = async (sid: string): Promise<string> => {
  const {bytes, code, stderr} = await cluster.admin(['play', sid, '--format=raw'])
  expect(code, stderr).toBe(0)
  return bytes.toString('latin1')
}

/** Lines with half a character at the end of many reads. */
const countLines =
  'i=0; while :; do i=$((i+1)); printf "line $i: \\303\\244 \\342\\202"; sleep 0.005; printf "\\254 \\360\\237\\230\\200\\n"; done'
const flood = 'while :; do head -c 20000 /dev/urandom; echo; done'

describe('a strict session', () => {
  it.each([
    ['lines in a pipe', [], countLines],
    ['lines on a terminal', ['-tt'], countLines],
    ['a flood', [], flood],
  ])(
    'has shown nothing that is in no recording when the service is killed: %s',
    async (_, words, command) => {
      const {between, about} = chance()
      const enough = between(1, 300)
      const where = `killed after ${enough} lines, ${about}`
      const seen = session(words, command)
      await seen.lines(enough)
      const sid = latest()
      await cluster.stop('SIGKILL')
      await seen.ended
      cluster = await startCluster({directory: field.directory, reuse: true})
      await eventually(() => named(sid, 'session.upload')[0], 'the recording is completed')
      const kept = await recorded(sid)
      expect(seen.text.length, where).toBeGreaterThan(0)
      expect(kept.startsWith(seen.text), where).toBe(true)
      const verified = await cluster.admin(['recordings', 'verify', sid])
      expect(verified, where).toMatchObject({code: 0})
    },
  )

  it('delivers every byte of both streams, half a character at their end too, before its exit status', async () => {
    const seen = session([], 'printf "out \\342\\202"; printf "err \\360" >&2; exit 7')
    expect(await seen.ended).toBe(7)
    expect([seen.text, Buffer.from(seen.stderr).toString()]).toEqual(['out \xe2\x82', 'err \ufffd'])
    await eventually(() => named(latest(), 'session.end')[0], 'it ends')
    expect(named(latest(), 'session.data')).toMatchObject([{tx: 11}])
  })

  it('passes bulk output whole, as it was', async () => {
    const seen = session([], 'seq 1 1000000')
    expect(await seen.ended).toBe(0)
    expect(seen.text.length).toBe(6_888_896)
    expect(seen.text.endsWith('999999\n1000000\n')).toBe(true)
    const sid = latest()
    await eventually(() => named(sid, 'session.end')[0], 'it ends')
    expect((await recorded(sid)) === seen.text).toBe(true)
  })
})
