import {once} from 'node:events'
import {createServer} from 'node:net'
import {describe, expect, test} from 'vitest'
import type {AuditInput} from '../../../src/lib/audit/event.js'
import type {HolderWay, SessionTracker} from '../../../src/lib/auth/contract.js'
import {asProblem, problem} from '../../../src/lib/errors/index.js'
import type {ProxyContext} from '../../../src/lib/proxy/context.js'
import {dialPolicy} from '../../../src/lib/proxy/dial-policy.js'
import {type JoinWay, joinHere, leadToHolder} from '../../../src/lib/proxy/join.js'
import {explainOn, type ServedClient} from '../../../src/lib/session/index.js'
import type {Channel, HostIdentity} from '../../../src/lib/ssh/index.js'
import {WireReader} from '../../../src/lib/sshcert/index.js'
import {atEnd} from '../../support/cleanup.js'
import {acceptOn, anyHostKey, certify, connectOn, hostAuthority, newKey, streamPair} from '../ssh/fixture.js'

const holder = '6f4c1a56-1f0e-4a8e-9a35-0d9c1c0d7c11'
const sid = '11111111-2222-4333-8444-555555555555'
const tracker = {sid, user: 'joe', heldBy: holder, holder: 'far1'} as SessionTracker

const identityOf = async (...principals: string[]): Promise<HostIdentity> => {
  const privateKey = newKey()
  return {privateKey, publicBlob: await certify(privateKey, 'host', {principals})}
}

/** A machine that answers with this identity, and who logged in there. */
async function machine(identity: HostIdentity) {
  const users: string[] = []
  const server = createServer(socket => {
    socket.on('error', () => undefined)
    acceptOn(socket, {hostKeys: [identity], judge: username => void users.push(username)}).catch(
      () => undefined,
    )
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  atEnd(async () => void server.close())
  return {users, address: `127.0.0.1:${(server.address() as {port: number}).port}`}
}

interface Wish {
  way?: HolderWay
  heldBy?: string
  permit?: () => Promise<never>
}

/** A proxy that is asked by `subsystem` for the session, as far as joining goes. */
async function proxy({way, heldBy = holder, permit}: Wish, lead: typeof leadToHolder = leadToHolder) {
  const events: AuditInput[] = []
  const running = new Set<ServedClient>()
  const context = {
    auth: {
      permitJoin:
        permit ?? (async () => ({tracker: {...tracker, heldBy}, user: 'ann', roles: [], ...(way && {way})})),
      trustedAuthorities: async () => ({user: [], host: [hostAuthority.publicBlob], openssh: []}),
    },
    ...{hostId: 'proxy-1', mode: 'node', forwarders: running, now: Date.now},
    hub: {find: () => undefined},
    dial: {policy: dialPolicy({allow: [], deny: []}), loopbackOnly: true, ownPorts: () => []},
    log: {warn: () => undefined, info: () => undefined},
  } as unknown as ProxyContext
  const joinWay = {
    ...{context, router: context},
    outer: {identity: {user: 'ann', roles: [], logins: [], validBefore: 0}, remoteAddress: '192.0.2.9:1'},
    emit: async (event: AuditInput) => void events.push(event),
    farewell: explainOn,
  } as unknown as JoinWay
  const [near, far] = streamPair()
  const accepting = acceptOn(far).then(({connection}) => {
    connection.onChannelOpen = open => {
      const channel = open.accept()
      lead(joinWay, sid, channel).catch(error => explainOn(channel, asProblem(error)))
    }
  })
  const client = await connectOn(near)
  await accepting
  const channel = await client.openChannel('session')
  let said = ''
  channel.stderr.on('data', data => {
    said += data
  })
  return {client, channel, events, running, said: () => said}
}

const ended = (channel: Channel) =>
  new Promise<void>(resolve => {
    channel.resume()
    channel.onClosed = resolve
  })

describe('the way to a holder', () => {
  test('leads to the machine that proves to be it, and is something that a proxy on its way out waits for', async () => {
    const {users, address} = await machine(await identityOf(holder))
    const {client, channel, events, running, said} = await proxy({way: {kind: 'proxy', address}})
    const inner = await connectOn(channel, {
      ...{username: 'sallyport:join', hostKeyAlgorithms: anyHostKey},
      verifyHostKey: async () => undefined,
    })
    expect(users).toContain('sallyport:join')
    expect(events).toMatchObject([
      {event: 'session.connect', server_id: holder, fields: {joins: sid, owner: 'joe', mode: 'observer'}},
    ])
    expect(events[0]).not.toHaveProperty('sid')
    expect(running.size).toBe(1)
    const [carried] = running
    carried?.end(problem('unavailable', 'the proxy is shutting down'))
    await Promise.all([inner.closed, carried?.done])
    expect(said()).toContain('the proxy is shutting down [unavailable]')
    expect(running.size).toBe(0)
    client.disconnect()
  })

  test('is cut where another machine of the cluster answers, before anybody can log in', async () => {
    const {users, address} = await machine(await identityOf('7f4c1a56-1f0e-4a8e-9a35-0d9c1c0d7c11'))
    const {client, channel, events, said} = await proxy({way: {kind: 'proxy', address}})
    const inner = connectOn(channel, {hostKeyAlgorithms: anyHostKey, verifyHostKey: async () => undefined})
    await expect(inner).rejects.toThrow()
    expect(said()).toContain('what answers for far1 is not that node')
    expect(users).toEqual([])
    expect(events.map(({event}) => event)).toEqual(['session.connect', 'client.disconnect'])
    client.disconnect()
  })

  test.each<[string, Wish, RegExp]>([
    [
      'nobody knows the machine',
      {},
      /held by far1, which is no machine of this cluster any more; .*\[unavailable\]/,
    ],
    [
      'the machine is gone',
      {way: {kind: 'proxy', address: '127.0.0.1:1'}},
      /far1, which holds this session, cannot be reached: .*refused; see whether it runs.*\[host_unreachable\]/,
    ],
    [
      'the machine says that it is where nobody is led to',
      {way: {kind: 'proxy', address: '169.254.169.254:80'}},
      /far1, which holds this session, cannot be reached: .*link-local.*\[dial_forbidden\]/,
    ],
    [
      'it is this proxy that holds it',
      {heldBy: 'proxy-1'},
      /this proxy holds the session itself.*\[invalid_input\]/,
    ],
    [
      'nobody can decide',
      {permit: () => Promise.reject(problem('timeout', 'it does not answer'))},
      /nobody can say who may join a session: it does not answer; .*\[unavailable\]/,
    ],
    [
      'they may not',
      {permit: () => Promise.reject(problem('not_found', 'no session runs now'))},
      /^sallyport: no session runs now \[not_found\]/,
    ],
  ])('leads nowhere where %s', async (_, wish, reason) => {
    const {client, channel, events, said} = await proxy(wish)
    await ended(channel)
    expect(said()).toMatch(reason)
    expect(events).toEqual([])
    client.disconnect()
  })
})

test('who asks for a session elsewhere is told by which machine it is held', async () => {
  const {client, channel, said} = await proxy({}, joinHere)
  let told: string[] = []
  channel.onRequest = ({type, data, reply}) => {
    if (type === 'session-holder@sallyport') {
      const reader = new WireReader(data)
      told = [reader.text(), reader.text()]
    }
    reply(false)
  }
  await ended(channel)
  expect(told).toEqual([holder, 'far1'])
  expect(said()).toMatch(/the session runs at far1, and not at this proxy; .*\[unavailable\]/)
  client.disconnect()
})
