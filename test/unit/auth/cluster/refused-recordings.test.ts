import {beforeAll, beforeEach, describe, expect, it} from 'vitest'
import type {ClusterClient} from '../../../../src/lib/auth/cluster/client.js'
import {problem} from '../../../../src/lib/errors/index.js'
import {verifyRecording} from '../../../../src/lib/recording/evidence/verify.js'
import {headerLine} from '../../../../src/lib/recording/format/asciicast.js'
import type {RecordingChunk} from '../../../../src/lib/recording/index.js'
import {createSessionRecord} from '../../../../src/lib/session/record.js'
import {publicKeyFromBlob} from '../../../../src/lib/sshcert/index.js'
import {chunkAfter, linkTo} from '../../../support/chunks.js'
import {eventually} from '../../../support/eventually.js'
import {temporaryDirectory} from '../../../support/temporary-directory.js'
import {delivered, openOutbox, play, type Session, session, wholeTrail} from '../../outbox/fixture.js'
import {failure, openAuth} from '../fixture.js'
import {type ClusterOfOne, hostId, otherId, serveCluster} from './cluster-fixture.js'

let cluster: ClusterOfOne
let api: ClusterClient['api']
let other: ClusterClient['api']

beforeAll(async () => {
  cluster = await serveCluster(await openAuth({clock: {now: Date.now()}}))
})
beforeEach(async () => {
  api = (await cluster.client('proxy')).api
  other = (await cluster.client('proxy', {machine: otherId})).api
})

const verdict = async (sid: string) => {
  const {recordings, authorities} = cluster.auth
  const {data, summary} = await recordings.open(sid)
  const keys = authorities.recordingPublicKeys().map(publicKeyFromBlob)
  const index = await recordings.readIndex(sid)
  const {result} = await verifyRecording({data, keys, index, sid})
  return {result, state: summary.state, truncated: index.seal?.truncated}
}

const trail = async (sid: string) =>
  (await cluster.auth.events()).filter(event => event.sid === sid).reverse()
const refusals = async (sid: string) =>
  (await trail(sid)).filter(({event}) => event === 'session.recording.refused')

/** The second chunk of a session with something else in it, in its right place in the chain. */
const bad = ({chunks: [first]}: Session, content: (link: string) => string | Buffer): RecordingChunk =>
  chunkAfter(first, content(linkTo(first as RecordingChunk, 10)), {firstMs: 10})

const cases: [string, (one: Session) => RecordingChunk][] = [
  ['garbage', one => bad(one, () => 'garbage\n')],
  ['garbage after a good link', one => bad(one, link => `${link}not json\n`)],
  ['another link', one => bad(one, link => link.replace('1 ', '2 '))],
  ['times that go backwards', one => bad(one, link => `${link}[0.001,"o","x"]\n`)],
  ['a line that is too long', one => bad(one, link => `${link}[0.01,"o","${'x'.repeat(1 << 20)}"]\n`)],
  ['a bomb', one => bad(one, () => Buffer.alloc(32 * 1024 * 1024))],
]

describe('what a machine with a certificate sends as a recording', () => {
  it.each(cases)('with %s in it is not kept; what came before is, and says why it ends', async (_, chunk) => {
    const one = session()
    await api.beginRecording(one.meta)
    await api.appendRecording(one.sid, one.chunks[0] as RecordingChunk)
    for (let times = 0; times < 2; times += 1)
      expect((await failure(api.appendRecording(one.sid, chunk(one)))).code).toBe('invalid_input')
    expect(await verdict(one.sid)).toEqual({
      ...{
        result: 'verified',
        state: 'truncated',
        truncated: expect.stringContaining('chunk 1 of the recording'),
      },
    })
    expect(await refusals(one.sid)).toMatchObject([
      {
        ...{code: 'TSR06W', success: false, user: 'joe', login: 'root', server_hostname: 'web1'},
        ...{reported_by: hostId, error: expect.stringContaining('chunk 1 of the recording')},
      },
    ])
  })

  it('is of the user and the session that it was announced for', async () => {
    for (const changes of [{user: 'eve'}, {sid: session().sid}, {host: 'db1'}, {startedAt: 1}]) {
      const one = session()
      await api.beginRecording(one.meta)
      const header = chunkAfter(undefined, headerLine({...one.meta, ...changes}))
      expect((await failure(api.appendRecording(one.sid, header))).code).toBe('invalid_input')
      expect(await verdict(one.sid)).toMatchObject({result: 'verified', state: 'truncated'})
      expect(await refusals(one.sid)).toHaveLength(1)
    }
  })

  it('is of the user whom the start of the session names', async () => {
    const one = session()
    await api.beginRecording(one.meta)
    const start = {...one.event('session.start'), user: 'eve'}
    expect((await failure(api.emit(start))).code).toBe('invalid_input')
    expect(await refusals(one.sid)).toMatchObject([
      {user: 'joe', error: expect.stringContaining('another user')},
    ])
    await api.emit(one.event('session.start'))
    expect((await trail(one.sid)).map(({event}) => event)).toContain('session.start')
  })

  it('under another name than the cluster knows the node by is kept and verified all the same', async () => {
    const node = (await cluster.client('node')).api
    await node.heartbeat({id: hostId, subKind: 'node', hostname: 'Web1.Example.', labels: {}})
    const one = session()
    await node.beginRecording({...one.meta, toldHost: 'nonsense'})
    for (const chunk of one.chunks) await node.appendRecording(one.sid, chunk)
    await node.sealRecording(one.sid, one.end)
    expect(await verdict(one.sid)).toEqual({result: 'verified', state: 'sealed'})
    expect((await cluster.auth.recordings.list({host: 'web1.example'})).map(({sid}) => sid)).toEqual([
      one.sid,
    ])
  })
})

describe('a spool with a recording that is none', () => {
  it('is delivered but for that, whose session keeps its events', async () => {
    const directory = temporaryDirectory()
    let away = true
    const call =
      <Given extends unknown[], Answer>(method: (...given: Given) => Promise<Answer>) =>
      async (...given: Given): Promise<Answer> => {
        if (away) throw problem('unavailable', 'the auth service cannot be reached')
        return await method(...given)
      }
    const outbox = await openOutbox({
      directory: `${directory}/outbox`,
      auth: {
        ping: call(other.ping),
        emit: call(other.emit),
        emitAll: call(other.emitAll),
        beginRecording: call(other.beginRecording),
        appendRecording: call(other.appendRecording),
        sealRecording: call(other.sealRecording),
      },
    })
    const sessions = Array.from({length: 5}, () => session())
    const hostile = sessions[2] as Session
    hostile.chunks[1] = bad(hostile, () => 'garbage\n')
    await Promise.all(sessions.map(one => play(outbox, one)))
    away = false
    outbox.wake()
    await delivered(outbox)
    for (const one of sessions) {
      const events = (await trail(one.sid)).map(({event}) => event)
      const told = events.filter(event => !event.startsWith('session.recording.'))
      expect(told).toEqual(wholeTrail)
      expect(await verdict(one.sid)).toMatchObject(
        one === hostile ? {result: 'verified', state: 'truncated'} : {result: 'verified', state: 'sealed'},
      )
      expect(events.filter(event => event === 'session.recording.refused')).toHaveLength(
        one === hostile ? 1 : 0,
      )
    }
    const upload = (await trail(hostile.sid)).find(({event}) => event === 'session.upload')
    const {seal} = await cluster.auth.recordings.readIndex(hostile.sid)
    expect(upload).toMatchObject({chunks: 1, head: seal?.head})
  })
})

describe.each(['strict', 'best_effort'] as const)('a session that is recorded %sly', mode => {
  it(mode === 'strict' ? 'ends when its recording is refused' : 'goes on without its recording', async () => {
    const outbox = await openOutbox({
      directory: `${temporaryDirectory()}/outbox`,
      auth: {
        ...{ping: api.ping, emit: api.emit, emitAll: api.emitAll},
        ...{beginRecording: api.beginRecording, sealRecording: api.sealRecording},
        appendRecording: (sid, chunk) =>
          api.appendRecording(sid, chunk.sequence === 0 ? chunk : {...chunk, ...bad(one, () => 'garbage\n')}),
      },
    })
    const one = session()
    const {sid} = one
    const failures: unknown[] = []
    const record = createSessionRecord({
      ...{auth: outbox, clusterName: 'c1', now: Date.now, mode},
      facts: {sid, user: 'joe', login: 'root', server_hostname: 'web1', server_addr: '10.0.0.7:22'},
      onFailure: error => failures.push(error),
      onProblem: () => undefined,
    })
    await record.begin({interactive: true})
    const stdout = record.withhold?.('stdout', () => undefined)
    const output = (text: string) => {
      const chunk = Buffer.from(text)
      return stdout ? stdout.output(chunk, chunk) : record.output(chunk, 'stdout')
    }
    await eventually(() => {
      output('x'.repeat(200_000))
      return failures.length > 0
    })
    expect(output('more')).toBe(mode === 'strict' ? false : undefined)
    expect(failures).toMatchObject([{message: expect.stringContaining('chunk 1 of the recording')}])
    await record.finish({code: 0}, 0).catch(() => undefined)
    await delivered(outbox)
    expect(await verdict(sid)).toMatchObject({result: 'verified', state: 'truncated'})
    const events = (await trail(sid)).map(({event}) => event)
    for (const event of ['session.start', 'session.recording.refused', 'session.upload', 'session.end'])
      expect([event, events.filter(one => one === event).length]).toEqual([event, 1])
  })
})
