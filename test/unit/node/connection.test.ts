import {describe, expect, it, vi} from 'vitest'
import {problem} from '../../../src/lib/errors/index.js'
import {recordingPlace} from '../../../src/lib/node/recording-place.js'
import {forwarderProofRequest, makeForwarderProof} from '../../../src/lib/session/index.js'
import {ChannelRefused} from '../../../src/lib/ssh/index.js'
import {WireReader, WireWriter} from '../../../src/lib/sshcert/index.js'
import {certify, newKey, settle} from '../ssh/fixture.js'
import {hostId, proxyIdentity, running, text, type WorldOptions, world} from './fixture.js'

const query = 'session-id-query-v2@goteleport.com'

/** A connection on which a forwarder has said who it is, or somebody has tried to. */
async function proven(wish: WorldOptions, identity = proxyIdentity()) {
  const all = await world(wish)
  const proof = makeForwarderProof(await identity, all.client.sessionId())
  await all.client.request(forwarderProofRequest, proof)
  return all
}

describe('where a session is recorded', () => {
  it.each([
    ['node', false, 'node'],
    ['node', true, 'node'],
    ['node-sync', false, 'node'],
    ['node-sync', true, 'node'],
    ['proxy', false, 'node'],
    ['proxy', true, 'forwarder'],
    ['proxy-sync', false, 'node'],
    ['proxy-sync', true, 'forwarder'],
    ['off', false, 'off'],
    ['off', true, 'off'],
  ] as const)('%s, by a proven forwarder: %s → %s', (mode, forwarder, place) => {
    expect(recordingPlace(mode, forwarder)).toBe(place)
  })

  it('off: has its events and no recording', async () => {
    const all = await world({mode: 'off'})
    const {started} = await running(all)
    started.exit()
    await vi.waitFor(() => expect(all.auth.named('session.end')).toHaveLength(1))
    expect(all.auth.named('session.start')).toMatchObject([
      {server_id: hostId, server_labels: {env: 'test'}, fields: {session_recording: 'off', recorded: false}},
    ])
    expect(all.auth.sealed).toEqual([])
    expect(all.auth.named('session.upload')).toEqual([])
  })
})

describe('a forwarder that proves itself', () => {
  it('is told the ID, and the node writes nothing of what it records', async () => {
    const all = await proven({mode: 'proxy'})
    expect(await all.client.request(query)).toBeDefined()
    const {started} = await running(all)
    started.exit()
    all.client.disconnect()
    await all.node.done
    expect(all.auth.events).toEqual([])
    expect(all.auth.sealed).toEqual([])
  })

  it('is told no where the cluster records at the node, and the node goes on recording', async () => {
    const all = await proven({mode: 'node'})
    expect(await all.client.request(query)).toBeUndefined()
    await running(all)
    expect(all.auth.named('session.start')).toHaveLength(1)
  })

  it('keeps being refused by what is not its record: a session too many', async () => {
    const all = await proven({mode: 'proxy', options: {maxSessions: 1}})
    await running(all)
    await expect(all.client.openChannel('session')).rejects.toThrow('which is the limit')
    expect(all.auth.named('session.rejected')).toHaveLength(1)
  })

  it('is what the node believes of the session that is opened then, whatever the cluster’s mode is later', async () => {
    const all = await proven({mode: 'proxy'})
    const {started} = await running(all)
    all.setMode('node')
    started.exit()
    await settle()
    expect(all.auth.named('session.start')).toEqual([])
    await running(all)
    expect(all.auth.named('session.start')).toHaveLength(1)
  })
})

describe('a client that would rather not be recorded', () => {
  const recorded = async (all: Awaited<ReturnType<typeof world>>): Promise<void> => {
    expect(await all.client.request(query)).toBeUndefined()
    const {started} = await running(all)
    started.exit()
    await vi.waitFor(() => expect(all.auth.sealed).toHaveLength(1))
    expect(all.auth.named('session.start')).toMatchObject([{fields: {session_recording: 'node'}}])
    expect(all.auth.named('session.end')).toHaveLength(1)
  }

  it('by asking for the ID as a forwarder does is recorded', async () => {
    await recorded(await world({mode: 'proxy'}))
  })

  it('with the certificate of a proxy and a key of its own is recorded', async () => {
    const {publicBlob} = await proxyIdentity()
    await recorded(await proven({mode: 'proxy'}, Promise.resolve({publicBlob, privateKey: newKey()})))
  })

  it('with the host certificate of a node is recorded', async () => {
    const privateKey = newKey()
    const extensions = new Map([['x-teleport-role', 'Node']])
    const publicBlob = await certify(privateKey, 'host', {extensions})
    const all = await proven({mode: 'proxy'}, Promise.resolve({publicBlob, privateKey}))
    expect(all.warnings).toContain('a forwarder was not believed')
    await recorded(all)
  })

  it('with the proof of another connection is recorded', async () => {
    const elsewhere = await world({mode: 'proxy'})
    const stolen = makeForwarderProof(await proxyIdentity(), elsewhere.client.sessionId())
    const all = await world({mode: 'proxy'})
    await all.client.request(forwarderProofRequest, stolen)
    await recorded(all)
  })

  it('by trying proofs until one fits gets no more than two tries', async () => {
    const all = await world({mode: 'proxy'})
    for (let tries = 0; tries < 5; tries++) await all.client.request(forwarderProofRequest, Buffer.alloc(8))
    const proof = makeForwarderProof(await proxyIdentity(), all.client.sessionId())
    expect(await all.client.request(forwarderProofRequest, proof)).toBeUndefined()
    expect(all.warnings).toHaveLength(2)
    await recorded(all)
  })
})

describe('a connection to the node', () => {
  it('has no more sessions than allowed, also when all are asked for at once', async () => {
    const all = await world({options: {maxSessions: 3}})
    const asked = await Promise.allSettled(Array.from({length: 10}, () => all.client.openChannel('session')))
    expect(asked.filter(({status}) => status === 'fulfilled')).toHaveLength(3)
    expect(all.auth.named('session.rejected')).toHaveLength(7)
  })

  it('has no more sessions after its client has promised to open none', async () => {
    const all = await world()
    expect(await all.client.request('no-more-sessions@openssh.com')).toBeDefined()
    await expect(all.client.openChannel('session')).rejects.toThrow('no more sessions')
  })

  it('opens no channels and answers no requests that it does not know', async () => {
    const all = await world()
    const refusal = await all.client.openChannel('x11', text('')).catch(error => error)
    expect(refusal).toBeInstanceOf(ChannelRefused)
    expect(refusal.reason).toBe(3)
    expect(await all.client.request('hostkeys-prove-00@openssh.com')).toBeUndefined()
    expect(await all.client.request('recording-proxy@teleport.com')).toBeUndefined()
  })

  it('is refused, and that is on record, where a lock or a limit is against it', async () => {
    const guard = {
      enter: () => {
        throw problem('access_denied', 'the user joe is locked')
      },
    }
    const all = await world({guard})
    await all.node.done
    expect(all.auth.named('session.rejected')).toMatchObject([{error: 'the user joe is locked', user: 'joe'}])
  })

  it('ends within two seconds when a lock comes, with the reason for its user', async () => {
    const all = await world()
    const {channel, started} = await running(all)
    const said: string[] = []
    channel.stderr.on('data', chunk => said.push(String(chunk)))
    const [inside] = all.guard.inside
    expect(inside).toMatchObject({host: 'db1', logins: ['root']})
    inside?.onLocked(problem('access_denied', 'the user joe is locked'))
    await all.node.done
    expect(said.join('')).toContain('the user joe is locked [access_denied]')
    expect(started.calls).toEqual(['kill'])
    expect(all.auth.named('client.disconnect')).toMatchObject([{fields: {reason: 'the user joe is locked'}}])
    expect(all.guard.inside.size).toBe(0)
  })

  it('ends when nobody uses it, and when its certificate ends, with the reason on record', async () => {
    const idle = await world({options: {idleTimeoutSeconds: 0.05}})
    await idle.node.done
    expect(idle.auth.named('client.disconnect')[0]?.fields?.reason).toMatch(/idle timeout/)
    const validBefore = BigInt(Math.floor(Date.now() / 1000) + 600)
    const end = Number(validBefore) * 1000
    let now = end - 200
    const expiring = await world({
      ...{certificate: {validBefore}, options: {disconnectExpiredCert: true}},
      settings: {now: () => now},
    })
    const {channel} = await running(expiring)
    channel.resume()
    channel.stderr.resume()
    now = end
    await expiring.node.done
    expect(expiring.auth.named('client.disconnect')[0]?.fields?.reason).toMatch(/certificate has expired/)
  })

  it('is decided about by the node’s name and UUID', async () => {
    const {auth} = await world()
    expect(auth.decide).toHaveBeenCalledWith(expect.objectContaining({host: 'db1', hostId, login: 'root'}))
  })
})

describe('ports that may not be', () => {
  const tcp = (host: string, port: number): Buffer =>
    new WireWriter().string(host).u32(port).string('127.0.0.1').u32(1).finish()
  const refusedOf = async (wish: WorldOptions, type: string, data: Buffer): Promise<string> => {
    const all = await world(wish)
    const refusal = await all.client.openChannel(type, data).catch(error => error.message)
    expect(all.auth.named('port')).toMatchObject([{success: false}])
    return String(refusal)
  }

  it.each([
    ['a role that permits none', {options: {portForwarding: false}}, tcp('127.0.0.1', 22), 'does not permit'],
    ['port 0', {}, tcp('127.0.0.1', 0), 'the port must be'],
    ['port 65536', {}, tcp('127.0.0.1', 65_536), 'the port must be'],
    ['no host', {}, tcp('', 22), 'not the name of a host'],
    ['a host with NUL', {}, tcp('a\0b', 22), 'not the name of a host'],
    ['a host of 64 kB', {}, tcp('a'.repeat(30_000), 22), 'not the name of a host'],
  ])('%s is refused and on record', async (_name, wish, data, reason) => {
    expect(await refusedOf(wish, 'direct-tcpip', data)).toContain(reason)
  })

  it('a login that there is none of has no port either', async () => {
    const account = () => Promise.reject(problem('not_found', 'there is no login "root" on this host'))
    expect(await refusedOf({system: {account}}, 'direct-tcpip', tcp('127.0.0.1', 22))).toContain(
      'there is no login',
    )
  })

  it.each(['relative', '', '/a\0b', `/${'a'.repeat(5000)}`])(
    'the path %j is none of a socket',
    async path => {
      const data = new WireWriter().string(path).string('').u32(0).finish()
      expect(await refusedOf({}, 'direct-streamlocal@openssh.com', data)).toContain('the path of a socket')
    },
  )

  it('are listened at no more than 32 of one connection, and by nobody any more afterwards', async () => {
    const all = await world()
    const ask = (): Promise<Buffer | undefined> =>
      all.client.request('tcpip-forward', new WireWriter().string('').u32(0).finish())
    const answers = await Promise.all(Array.from({length: 40}, ask))
    const ports = answers.flatMap(answer => (answer ? [new WireReader(answer).u32()] : []))
    expect(ports).toHaveLength(32)
    expect(all.auth.named('port').filter(({success}) => success === false)).toHaveLength(8)
    const cancel = new WireWriter()
      .string('')
      .u32(ports[0] ?? 0)
      .finish()
    expect(await all.client.request('cancel-tcpip-forward', cancel)).toBeDefined()
    expect(await all.client.request('cancel-tcpip-forward', cancel)).toBeUndefined()
    expect(await ask()).toBeDefined()
    all.client.disconnect()
    await all.node.done
    const {connect} = await import('node:net')
    const refused = await new Promise(resolve => connect(ports[1] ?? 0).once('error', resolve))
    expect(refused).toMatchObject({code: 'ECONNREFUSED'})
  })
})
