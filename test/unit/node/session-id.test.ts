import {type Duplex, duplexPair} from 'node:stream'
import {describe, expect, it, vi} from 'vitest'
import {serveAgent, signerEntry} from '../../../src/lib/agent/index.js'
import type {AuditInput} from '../../../src/lib/audit/event.js'
import {problem} from '../../../src/lib/errors/index.js'
import {forward} from '../../../src/lib/forward/index.js'
import {serveNodeClient} from '../../../src/lib/node/connection.js'
import {createUserSockets} from '../../../src/lib/node/user-sockets.js'
import {forwarderProofRequest, makeForwarderProof} from '../../../src/lib/session/index.js'
import type {SshConnection} from '../../../src/lib/ssh/index.js'
import {signerFromKey} from '../../../src/lib/sshcert/index.js'
import {everything, type FakeAuth, fakeAuth, openGuard, openHub} from '../forward/fixture.js'
import {acceptOn, certify, connectOn, newKey, streamPair, userAuthority} from '../ssh/fixture.js'
import {admitUser, extensions, nodeIdentity, nodeSettings, peer, proxyIdentity} from './fixture.js'

/**
 * A proxy and a node of this version and of older ones. An old node does not know the query, and tells its ID only once
 * a program was asked for. An old proxy never asks.
 */
const query = 'session-id-query-v2@goteleport.com'
const current = 'current-session-id@goteleport.com'
const nodeFirst = '10000000-0000-4000-8000-000000000001'
const proxyFirst = '20000000-0000-4000-8000-000000000001'

const key = newKey()
const certificate = await certify(key, 'user', {extensions})
const entry = signerEntry(signerFromKey(key), 'joe', certificate)
const lendAgent = async (): Promise<Duplex> => {
  const [near, far] = duplexPair()
  void serveAgent(far, [entry])
  return near
}

/** Our forwarder between a client and what `target` serves. */
async function throughForwarder(target: (stream: Duplex) => void) {
  const auth: FakeAuth = fakeAuth()
  auth.decide = async () => ({allowed: true, reason: 'test', options: everything})
  const [near, far] = streamPair()
  const [identity, standIn] = [await proxyIdentity(), await nodeIdentity()]
  let sessions = 0
  forward(
    {
      auth,
      guard: openGuard(),
      hub: openHub(auth),
      clusterName: 'test',
      proxyId: 'proxy-1',
      checkHostKeys: true,
      graceMilliseconds: 5000,
      keepAliveMilliseconds: 0,
      now: Date.now,
      sessionId: () => `20000000-0000-4000-8000-${String(++sessions).padStart(12, '0')}`,
      hostIdentity: async () => identity,
      report: input => void auth.events.push(input),
      log: {warn: vi.fn(), info: vi.fn()},
    },
    {
      ...{outerAgent: 'offered', openAgent: lendAgent, pinned: false, remoteIp: '192.0.2.9'},
      identity: {user: 'joe', roles: ['access'], logins: ['root'], validBefore: 0},
      remoteAddress: '192.0.2.9:5000',
      localAddress: '192.0.2.1:3023',
    },
    {
      host: 'target.test',
      port: 3022,
      async dial() {
        const [ours, theirs] = streamPair()
        target(theirs)
        return {stream: ours, address: '192.0.2.7:3022'}
      },
    },
    {hostIdentity: standIn, userAuthorities: [userAuthority.publicBlob]},
    far,
  )
  const credentials = async () => [{blob: certificate, signer: signerFromKey(key)}]
  return {auth, client: await connectOn(near, {credentials})}
}

/** Our node, as it is for one connection. @param deaf to what forwarders ask of it, as an older one is */
function newNode(deaf = false) {
  const made = nodeSettings({mode: 'proxy'})
  const serve = async (stream: Duplex): Promise<void> => {
    const admitted = await admitUser(made.settings, stream)
    serveNodeClient(made.settings, createUserSockets(1000), admitted, peer)
    const {connection} = admitted
    const handle = connection.onGlobalRequest
    if (deaf)
      connection.onGlobalRequest = request =>
        request.type !== query && request.type !== forwarderProofRequest && (handle?.(request) ?? false)
  }
  return {...made, serve: (stream: Duplex) => void serve(stream)}
}

/** What an older node says of itself: its ID, when it is of no use any more. */
function oldNode() {
  const told: string[] = []
  const serve = async (stream: Duplex): Promise<void> => {
    const {connection} = await acceptOn(stream, {hostKeys: [await nodeIdentity()]})
    connection.onGlobalRequest = () => false
    connection.onChannelOpen = open => {
      const channel = open.accept()
      channel.onRequest = ({type, reply}) => {
        reply(true)
        if (type !== 'shell') return
        told.push(nodeFirst)
        void channel.request(current, Buffer.from(nodeFirst), false)
        channel.end('old node')
      }
    }
  }
  return {told, serve: (stream: Duplex) => void serve(stream)}
}

/** Opens a shell; resolves to the IDs that the client was told once some output has come. */
async function shell(client: SshConnection, onStarted: () => void = () => undefined): Promise<string[]> {
  const channel = await client.openChannel('session')
  const ids: string[] = []
  channel.onRequest = ({type, data}) => void (type === current && ids.push(data.toString()))
  expect(await channel.request('shell', undefined)).toBe(true)
  onStarted()
  await new Promise(resolve => channel.once('data', resolve))
  channel.resume()
  channel.stderr.resume()
  return ids
}

const sids = (events: AuditInput[]): Set<string> => new Set(events.flatMap(({sid}) => sid ?? []))
const starts = (auth: FakeAuth): string[] => auth.named('session.start').map(({sid}) => sid ?? '')

describe('the ID of a session at a node whose sessions the proxy records', () => {
  it('new proxy, new node: one ID, one record, the proxy’s', async () => {
    const node = newNode()
    const {auth, client} = await throughForwarder(node.serve)
    const ids = await shell(client, () => {
      const [started] = node.processes
      expect(started?.spec.environment.SSH_SESSION_ID).toBe(nodeFirst)
      started?.stdout.write('hello')
      started?.exit()
    })
    expect(ids).toEqual([nodeFirst])
    await vi.waitFor(() => expect(auth.named('session.end')).toHaveLength(1))
    expect(sids(auth.events)).toEqual(new Set([nodeFirst]))
    expect(starts(auth)).toEqual([nodeFirst])
    expect(auth.named('session.start')).toMatchObject([
      {forwarded_by: 'proxy-1', fields: {session_recording: 'proxy'}},
    ])
    expect(auth.sealed).toEqual([nodeFirst])
    expect(node.auth.events).toEqual([])
    expect(node.auth.sealed).toEqual([])
  })

  it('new proxy, old node: the proxy’s own ID, which the node’s late one does not change', async () => {
    const node = oldNode()
    const {auth, client} = await throughForwarder(node.serve)
    expect(await shell(client)).toEqual([proxyFirst])
    expect(node.told).toEqual([nodeFirst])
    expect(sids(auth.events)).toEqual(new Set([proxyFirst]))
  })

  it('old proxy, new node: the node leaves the record to it and tells its ID all the same', async () => {
    const node = newNode()
    const [near, far] = streamPair()
    node.serve(far)
    const client = await connectOn(near, {
      credentials: async () => [{blob: certificate, signer: signerFromKey(key)}],
    })
    // It shows who it is, as any proxy of the cluster does, and never asks for an ID.
    await client.request(forwarderProofRequest, makeForwarderProof(await proxyIdentity(), client.sessionId()))
    const ids = await shell(client, () => node.processes[0]?.stdout.write('hello'))
    expect(ids).toEqual([nodeFirst])
    expect(node.auth.events).toEqual([])
  })

  it('old proxy, old node: each with an ID and a record of its own, so nothing is lost', async () => {
    const node = newNode(true)
    const {auth, client} = await throughForwarder(node.serve)
    await shell(client, () => node.processes[0]?.stdout.write('hello'))
    expect(starts(auth)).toEqual([proxyFirst])
    expect(starts(node.auth)).toEqual([nodeFirst])
    expect(node.auth.named('session.start')).toMatchObject([{fields: {session_recording: 'node'}}])
  })

  it('is refused for the whole session where it is one that has been used before', async () => {
    const node = newNode()
    const {auth, client} = await throughForwarder(node.serve)
    auth.beginRecording = () =>
      Promise.reject(problem('already_exists', 'the session has a recording already'))
    const channel = await client.openChannel('session')
    const said: string[] = []
    channel.stderr.on('data', chunk => said.push(String(chunk)))
    await channel.request('shell')
    await vi.waitFor(() => expect(said.join('')).toContain('has a recording already [recording_unavailable]'))
    expect(node.processes).toEqual([])
  })
})
