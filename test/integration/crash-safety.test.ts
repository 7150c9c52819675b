import {randomBytes} from 'node:crypto'
import {existsSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {beforeAll, describe, expect, it} from 'vitest'
import {chance} from '../support/chance.js'
import {type Cluster, startCluster} from '../support/cluster.js'
import {eventually} from '../support/eventually.js'
import {addToAgent, type Event, type Field, login, startField, type UserKey} from '../support/field.js'
import {start} from '../support/process.js'
import {type Received, receive} from '../support/received.js'
import type {Sshd} from '../support/sshd.js'

/**
 * The service is killed, for real and at random moments, while sessions run on a real sshd; then it starts again. What
 * the user saw is held against what the recording has.
 */
let field: Field
let cluster: Cluster
let target: Sshd
let joe: UserKey

beforeAll(async () => {
  field = await startField()
  cluster = field.cluster
  target = await field.target()
  joe = await field.userKey()
  await addToAgent(field.agent, joe)
})

/** `ssh` through the proxy as it is now; each start of the service has another port. */
const way = (): string[] => [
  ...field.throughSubsystem(joe, {port: cluster.addresses.ssh.port}),
  ...['-p', String(target.port), `${login}@127.0.0.1`],
]
const restart = async (): Promise<void> => {
  cluster = await startCluster({directory: field.directory, reuse: true})
}
const named = (sid: string, event: string): Event[] =>
  field.events().filter(record => record.sid === sid && record.event === event)

/** A session that prints numbered lines until it is gone. */
async function countingSession(words: string[]): Promise<{sid: string; seen: Received}> {
  const before = field.events().length
  const seen = receive(start('ssh', [...words, ...way(), countLines], {env: field.agent.env}))
  const begun = await eventually(
    () =>
      field
        .events()
        .slice(before)
        .find(({event}) => event === 'session.start'),
    'the session starts',
  )
  await seen.lines(1)
  return {sid: String(begun.sid), seen}
}

/** Now and then half a character is the last that came for a while. */
const countLines =
  'i=0; while :; do i=$((i+1)); printf "line $i of a session: \\303\\244 \\342\\202"; sleep 0.01; printf "\\254 \\360\\237\\230\\200\\n"; done'

describe('kill -9 of the service', () => {
  it('loses at most a second of what the user saw, and the restart completes the rest', async () => {
    const sids: string[] = []
    const {between, about} = chance()
    for (let round = 0; round < 5; round++) {
      const enough = between(1, 250)
      const where = `killed after ${enough} lines, in round ${round} of ${about}`
      const {sid, seen} = await countingSession(round % 2 === 0 ? [] : ['-tt'])
      sids.push(sid)
      await seen.lines(enough)
      await cluster.stop('SIGKILL')
      await seen.ended
      await restart()
      const end = await eventually(() => named(sid, 'session.end')[0], 'the session ends')

      const raw = await cluster.admin(['play', sid, '--format=raw'])
      expect(raw.code, where).toBe(0)
      expect(raw.stderr).toContain('cut short')
      const kept = raw.bytes.toString('latin1')
      const common = Math.min(kept.length, seen.text.length)
      expect(kept.slice(0, common) === seen.text.slice(0, common), where).toBe(true)
      const lost = seen.text.length > common ? seen.at(seen.text.length - 1) - seen.at(common) : 0
      expect(lost, where).toBeLessThanOrEqual(1000)

      expect(end).toMatchObject({
        ...{user: 'joe', login, server_hostname: '127.0.0.1', code: 'T2004I', participants: ['joe']},
        ...{recorded: true, truncated: true, reason: 'the service ended before the session did'},
      })
      const listed = JSON.parse((await cluster.admin(['recordings', 'ls', '--format=json'])).stdout)
      expect(listed.find((row: {sid: string}) => row.sid === sid)).toMatchObject({
        state: 'truncated',
        // The last that is known of it.
        end: expect.stringMatching(/^\d{4}-.*Z$/),
      })
      const verified = await cluster.admin(['recordings', 'verify', sid])
      expect(verified).toMatchObject({code: 0})
      expect(verified.stdout).toContain('It is not all of the session: the service ended before')
    }
    await cluster.stop('SIGTERM')
    await restart()
    for (const sid of sids)
      for (const name of ['session.start', 'session.upload', 'session.end'])
        expect([name, named(sid, name).length]).toEqual([name, 1])
    expect(field.recordings()).toHaveLength(sids.length)
    expect(await cluster.admin(['audit', 'verify'])).toMatchObject({code: 0})
  })

  it('leaves a file that was being moved with its one event, which says that nobody knows what became of it', async () => {
    const [from, to] = ['from', 'to'].map(name => join(field.directory, name)) as [string, string]
    const batch = join(field.directory, 'slow-batch')
    writeFileSync(from, randomBytes(4 << 20))
    writeFileSync(batch, `put ${from} ${to}\n`)
    const words = way().slice(0, -3)
    const place = ['-P', String(target.port), `${login}@127.0.0.1`]
    // 2 Mbit/s: a quarter of a minute.
    const child = start('sftp', ['-q', '-l', '2000', '-b', batch, ...words, ...place], {
      env: field.agent.env,
    })
    const ended = new Promise(resolve => child.once('close', resolve))
    const noted = await eventually(
      () => field.events().find(({event}) => event === 'session.transfer.open'),
      'the open file is noted',
    )
    expect(noted).toMatchObject({user: 'joe', login, protocol: 'sftp', direction: 'upload', path: to})
    await cluster.stop('SIGKILL')
    await ended
    await restart()
    const sid = String(noted.sid)
    await eventually(() => named(sid, 'sftp.write')[0], 'it has its event')
    expect(named(sid, 'sftp.write')).toMatchObject([
      {success: false, path: to, complete: false, transfer: noted.transfer},
    ])
  })

  it('leaves no start, recording or upload without its end, whatever it interrupts', async () => {
    const before = field.recordings().length
    const more = (count: () => number): (() => boolean) => {
      const had = count()
      return () => count() > had
    }
    const events = (name: string) => () => field.events().filter(({event}) => event === name).length
    /** What the service is at when it is killed. */
    const moments: [what: string, come: (seen: Received) => () => boolean][] = [
      ['the recording begins', () => more(() => field.recordings().length)],
      ['the session starts', () => more(events('session.start'))],
      ['the program says something', seen => () => seen.text.includes('here')],
      ['the program has ended', seen => () => seen.text.includes('done')],
      ['the recording is sealed', () => more(events('session.upload'))],
      ['the session ends', () => more(events('session.end'))],
    ]
    for (const [what, come] of moments) {
      const command = 'echo here; sleep 0.2; echo done'
      const seen = receive(start('ssh', [...way(), command], {env: field.agent.env}))
      const hasCome = come(seen)
      await eventually(hasCome, what, 5)
      await cluster.stop('SIGKILL')
      await seen.ended
      await restart()
      await eventually(() => field.recordings().every(({sealed}) => sealed), `all is complete when ${what}`)
    }
    await eventually(() => field.recordings().every(({sealed}) => sealed), 'every recording is completed')
    await cluster.stop('SIGTERM')
    await restart()
    const recorded = field.recordings().map(({sid}) => sid)
    const started = field.events().flatMap(({event, sid}) => (event === 'session.start' && sid ? [sid] : []))
    expect(recorded.length).toBeGreaterThan(before)
    expect(new Set(started).size).toBe(started.length)
    // What the stop came between, this start completes in the background.
    await eventually(
      () => [...recorded, ...started].every(sid => named(sid, 'session.end').length > 0),
      'every session has its end',
    )
    for (const sid of new Set([...recorded, ...started]))
      for (const name of ['session.upload', 'session.end'])
        expect([sid, name, named(sid, name).length]).toEqual([sid, name, 1])
  })

  it('completes a recording while another one is damaged, and reports that one once', async () => {
    const [damaged, sound] = [await countingSession([]), await countingSession([])]
    const pathOf = (wanted: string): string => field.recordings().find(({sid}) => sid === wanted)?.path ?? ''
    const chunks = (sid: string): number =>
      readFileSync(pathOf(sid).replace('.cast.gz', '.index.jsonl'), 'utf8').split('\n').length - 2
    await eventually(() => chunks(damaged.sid) > 1 && chunks(sound.sid) > 1, 'both are partly on disk')
    await cluster.stop('SIGKILL')
    await Promise.all([damaged.seen.ended, sound.seen.ended])
    const path = pathOf(damaged.sid)
    const data = readFileSync(path)
    data.writeUInt8(data.readUInt8(40) ^ 1, 40)
    writeFileSync(path, data)
    for (let times = 0; times < 2; times++) {
      await restart()
      await eventually(
        () => named(damaged.sid, 'session.end')[0] && named(sound.sid, 'session.end')[0],
        'both end',
      )
      await cluster.stop('SIGTERM')
    }
    await restart()
    expect(named(sound.sid, 'session.upload')).toHaveLength(1)
    expect(named(damaged.sid, 'session.upload')).toHaveLength(0)
    expect(named(damaged.sid, 'session.end')).toMatchObject([{recorded: false, truncated: true}])
    expect(named(damaged.sid, 'session.recording.damaged')).toMatchObject([
      {success: false, code: 'TSR01W', user: 'joe', error: expect.stringContaining('chunk 0')},
    ])
    expect(readFileSync(path)).toEqual(data)
    expect(existsSync(path.replace('.cast.gz', '.damaged.json'))).toBe(true)
    expect(existsSync(join(cluster.dataDir, 'sessions-completed.json'))).toBe(true)
    const verified = await cluster.admin(['recordings', 'verify', damaged.sid])
    expect(verified.stderr).toContain('chunk 0')
  })
})
