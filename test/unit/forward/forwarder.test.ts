import {type Duplex, duplexPair} from 'node:stream'
import {describe, expect, it, vi} from 'vitest'
import type {SessionOptions} from '../../../src/lib/access/types.js'
import {serveAgent, signerEntry} from '../../../src/lib/agent/index.js'
import {problem} from '../../../src/lib/errors/index.js'
import {forward, type Ingress} from '../../../src/lib/forward/index.js'
import type {WayTerms} from '../../../src/lib/forward/types.js'
import type {ConnectionGuard} from '../../../src/lib/session/index.js'
import {ChannelRefused, type SshConnection} from '../../../src/lib/ssh/index.js'
import {signerFromKey, WireWriter} from '../../../src/lib/sshcert/index.js'
import {
  acceptOn,
  certify,
  connectOn,
  drain,
  hostIdentity,
  newKey,
  settle,
  streamPair,
  userAuthority,
} from '../ssh/fixture.js'
import {everything, fakeAuth, openGuard, openHub} from './fixture.js'

const key = newKey()
const certificate = await certify(key, 'user', {
  extensions: new Map(
    ['permit-pty', 'permit-port-forwarding', 'permit-agent-forwarding'].map(name => [name, '']),
  ),
})
const identity = await hostIdentity()
const entry = signerEntry(signerFromKey(key), 'joe', certificate)
const lendAgent = async (): Promise<Duplex> => {
  const [near, far] = duplexPair()
  void serveAgent(far, [entry])
  return near
}

interface WorldOptions {
  outerAgent?: Ingress['outerAgent']
  options?: Partial<SessionOptions>
  dial?: () => Promise<Duplex>
  /** Of the cluster that leads to the target. */
  terms?: WayTerms
  guard?: ConnectionGuard
}

/** A client in front of the forwarder and a target behind it. */
async function world(wish: WorldOptions = {}) {
  const {outerAgent = 'offered', options, dial, guard = openGuard(), terms} = wish
  const auth = fakeAuth()
  auth.decide = async () => ({allowed: true, reason: 'test', options: {...everything, ...options}})
  const [near, far] = streamPair()
  const targets: SshConnection[] = []
  const openAgent = vi.fn(lendAgent)
  let sessions = 0
  const ingress: Ingress = {
    ...{outerAgent, openAgent, pinned: false, remoteIp: '192.0.2.9'},
    identity: {user: 'joe', roles: ['access'], logins: ['root'], validBefore: 0},
    remoteAddress: '192.0.2.9:5000',
    localAddress: '192.0.2.1:3023',
  }
  const acceptTarget = async (): Promise<Duplex> => {
    const [ours, theirs] = streamPair()
    const accepting = acceptOn(theirs, {hostKeys: [identity]})
    void accepting.then(
      ({connection}) => {
        connection.onChannelOpen = open => {
          const channel = open.accept()
          channel.onRequest = ({reply}) => reply(true)
        }
        connection.onGlobalRequest = ({type}) => type === 'tcpip-forward' && Buffer.from([0, 0, 0x1f, 0x90])
        targets.push(connection)
        // The forwarder may leave before it has logged in.
      },
      () => undefined,
    )
    return ours
  }
  const forwarder = forward(
    {
      auth,
      guard,
      hub: openHub(auth),
      clusterName: 'test',
      proxyId: 'proxy-1',
      checkHostKeys: true,
      graceMilliseconds: 5000,
      keepAliveMilliseconds: 0,
      now: Date.now,
      sessionId: () => `00000000-0000-4000-8000-${String(++sessions).padStart(12, '0')}`,
      hostIdentity: async () => identity,
      report: input => void auth.events.push(input),
      log: {warn: vi.fn(), info: vi.fn()},
    },
    ingress,
    {
      host: 'target.test',
      port: 22,
      dial: async () => ({
        ...{stream: await (dial ?? acceptTarget)(), address: '192.0.2.7:22'},
        ...(terms && {terms}),
      }),
    },
    {hostIdentity: identity, userAuthorities: [userAuthority.publicBlob]},
    far,
  )
  const client = await connectOn(near, {
    credentials: async () => [{blob: certificate, signer: signerFromKey(key)}],
  })
  const uninvited: string[] = []
  client.onChannelOpen = open => {
    uninvited.push(open.type)
    if (open.type === 'auth-agent@openssh.com') void serveAgent(open.accept(), [entry])
    else open.reject(1, 'no')
  }
  return {auth, forwarder, client, targets, openAgent, fromTarget: uninvited}
}

const text = (value: string): Buffer => new WireWriter().string(value).finish()
const shell = async (client: SshConnection) => {
  const channel = await client.openChannel('session')
  expect(await channel.request('shell')).toBe(true)
  return channel
}

describe('a forwarded connection', () => {
  it('answers for itself what is asked of the proxy, and passes nothing on', async () => {
    const {client, targets} = await world()
    expect((await client.request('recording-proxy@teleport.com'))?.toString()).toBe('true')
    expect(await client.request('keepalive@openssh.com')).toBeDefined()
    expect(await client.request('hostkeys-prove-00@openssh.com')).toBeUndefined()
    expect(targets).toEqual([])
  })

  it('has no more sessions than allowed, also when all are asked for at once', async () => {
    const {client, auth} = await world({options: {maxSessions: 3}})
    const asked = await Promise.allSettled(Array.from({length: 10}, () => client.openChannel('session')))
    expect(asked.filter(({status}) => status === 'fulfilled')).toHaveLength(3)
    const refused = asked.find(({status}) => status === 'rejected') as PromiseRejectedResult
    expect((refused.reason as ChannelRefused).description).toMatch(/3 sessions already.*\[limit_exceeded\]/)
    expect(auth.named('session.rejected')).toHaveLength(7)
  })

  it('has no more sessions after the client has promised to open none', async () => {
    const {client} = await world()
    await shell(client)
    expect(await client.request('no-more-sessions@openssh.com')).toBeDefined()
    await expect(client.openChannel('session')).rejects.toThrow('no more sessions')
  })

  it('reaches the target once for all channels, and puts that on record once', async () => {
    const {client, auth, targets} = await world()
    await Promise.all([shell(client), shell(client), shell(client)])
    expect(targets).toHaveLength(1)
    expect(auth.named('session.connect')).toMatchObject([
      {server_addr: '192.0.2.7:22', user: 'joe', login: 'root'},
    ])
  })

  it('serves no other channels', async () => {
    const {client} = await world()
    for (const type of ['x11', 'forwarded-tcpip', 'auth-agent@openssh.com', 'tun@openssh.com', '__proto__']) {
      await expect(client.openChannel(type)).rejects.toBeInstanceOf(ChannelRefused)
    }
  })
})

describe('a target that another cluster leads to', () => {
  const terms = (changes: Partial<WayTerms>): WayTerms => ({
    ...{maxSessions: 0, idleTimeoutSeconds: 0, ended: () => undefined},
    ...changes,
  })

  it.each(['offered', 'absent'] as const)(
    'has no more sessions than that one allows, with an outer agent %s and all asked for at once',
    async outerAgent => {
      const {client, auth} = await world({outerAgent, terms: terms({maxSessions: 2})})
      const asked = await Promise.all(
        Array.from({length: 6}, async () => {
          const channel = await client.openChannel('session').catch(() => undefined)
          await channel?.request('auth-agent-req@openssh.com')
          // One that was opened before anything was known is told on its stderr.
          return (await channel?.request('shell')) ? channel : undefined
        }),
      )
      await vi.waitFor(() => expect(auth.named('session.rejected')).toHaveLength(4))
      expect(auth.named('session.rejected')).toMatchObject(
        Array(4).fill({error: expect.stringContaining('2 sessions already')}),
      )
      expect(auth.named('session.start')).toHaveLength(2)
      for (const channel of asked) channel?.close()
      await vi.waitFor(() => expect(auth.named('session.end')).toHaveLength(2))
      await shell(client)
      expect(auth.named('session.start')).toHaveLength(3)
    },
  )

  it('is left when nothing passes for as long as that one allows', async () => {
    const {client, auth} = await world({
      options: {idleTimeoutSeconds: 900},
      terms: terms({idleTimeoutSeconds: 1}),
    })
    const channel = await shell(client)
    channel.resume()
    channel.stderr.resume()
    await client.closed
    expect(auth.named('client.disconnect')).toMatchObject([
      {fields: {reason: expect.stringMatching(/for 1 s/)}},
    ])
  })

  it('tells why, where that one ends the way', async () => {
    const reason = problem('access_denied', 'the role web is locked there')
    const {client, targets} = await world({terms: terms({ended: () => reason})})
    const channel = await shell(client)
    channel.resume()
    const said = drain(channel.stderr)
    targets[0]?.disconnect()
    await client.closed
    expect((await said).toString()).toContain('the role web is locked there')
  })
})

describe('a hostile target', () => {
  it.each(['auth-agent@openssh.com', 'forwarded-tcpip', 'x11', 'session', 'direct-tcpip', '__proto__'])(
    'opens no %s channel to the client that was not asked for',
    async type => {
      const {client, targets, fromTarget} = await world()
      await shell(client)
      await expect(targets[0]?.openChannel(type)).rejects.toThrow('was not asked for')
      expect(fromTarget).toEqual([])
    },
  )

  it('reaches the agent only when it was lent, and the role agrees', async () => {
    for (const agentForwarding of [true, false]) {
      const {client, targets, fromTarget} = await world({options: {agentForwarding}})
      const channel = await client.openChannel('session')
      expect(await channel.request('auth-agent-req@openssh.com')).toBe(true)
      expect(await channel.request('shell')).toBe(true)
      const opened = targets[0]?.openChannel('auth-agent@openssh.com')
      if (agentForwarding) await expect(opened).resolves.toBeDefined()
      else await expect(opened).rejects.toThrow('was not asked for')
      expect(fromTarget).toEqual(agentForwarding ? ['auth-agent@openssh.com'] : [])
    }
  })

  it('that hangs up takes the connection of the client with it', async () => {
    const {client, targets, auth, forwarder} = await world()
    const channel = await shell(client)
    targets[0]?.disconnect()
    channel.resume()
    channel.stderr.resume()
    await client.closed
    await forwarder.done
    expect(auth.named('session.end')).toHaveLength(1)
  })
})

describe('whose agent signs', () => {
  it('is the outer one where it was offered', async () => {
    const {client, openAgent, fromTarget} = await world()
    await shell(client)
    expect(openAgent).toHaveBeenCalledOnce()
    expect(fromTarget).toEqual([])
  })

  it.each(['unknown', 'absent'] as const)(
    'is the inner one where that is offered: outer %s',
    async outerAgent => {
      const {client, openAgent, fromTarget} = await world({outerAgent})
      const channel = await client.openChannel('session')
      expect(await channel.request('auth-agent-req@openssh.com')).toBe(true)
      expect(await channel.request('shell')).toBe(true)
      expect(fromTarget).toEqual(['auth-agent@openssh.com'])
      expect(openAgent).not.toHaveBeenCalled()
    },
  )

  it('is the outer one when nothing is said and it may be there', async () => {
    const {client, openAgent} = await world({outerAgent: 'unknown'})
    await shell(client)
    expect(openAgent).toHaveBeenCalledOnce()
  })

  it('is nobody’s when none was offered, and the user is told', async () => {
    const {client, auth, fromTarget} = await world({outerAgent: 'absent'})
    const channel = await client.openChannel('session')
    let said = ''
    channel.stderr.on('data', chunk => {
      said += chunk
    })
    await channel.request('shell')
    await vi.waitFor(() => expect(said).toContain('agent forwarding required in proxy recording mode'))
    expect(fromTarget).toEqual([])
    expect(auth.named('session.connect')).toMatchObject([{success: false}])
  })

  it('is waited for when a port is asked for before a session offers it', async () => {
    const {client, openAgent, fromTarget} = await world({outerAgent: 'unknown'})
    const listening = client.request('tcpip-forward', Buffer.concat([text('127.0.0.1'), Buffer.alloc(4)]))
    await settle(50)
    expect(fromTarget).toEqual([])
    const channel = await client.openChannel('session')
    expect(await channel.request('auth-agent-req@openssh.com')).toBe(true)
    expect(await listening).toEqual(Buffer.from([0, 0, 0x1f, 0x90]))
    expect(fromTarget).toEqual(['auth-agent@openssh.com'])
    expect(openAgent).not.toHaveBeenCalled()
  })
})

describe('an audit log that takes nothing', () => {
  it.each(['session.connect', 'session.start'])('stops a session that would go unseen: %s', async event => {
    const {client, auth} = await world()
    auth.losing.add(event)
    const started = async (): Promise<boolean> => {
      const channel = await client.openChannel('session')
      let said = ''
      channel.stderr.on('data', chunk => {
        said += chunk
      })
      await channel.request('shell')
      await vi.waitFor(() => expect(said).toContain('[store_failed]'))
      throw new Error(said)
    }
    await expect(started()).rejects.toThrow('cannot be written')
  })

  it('stops ports that would go unseen, and answers those who asked', async () => {
    const {client, auth} = await world()
    auth.losing.add('port')
    const place = Buffer.concat([text('127.0.0.1'), Buffer.alloc(4), text('127.0.0.1'), Buffer.alloc(4)])
    await expect(client.openChannel('direct-tcpip', place)).rejects.toThrow('cannot be written')
    const denied = await world({options: {portForwarding: false}})
    denied.auth.losing.add('port')
    await expect(denied.client.openChannel('direct-tcpip', place)).rejects.toBeInstanceOf(ChannelRefused)
  })

  it('does not hide why a target was not reached', async () => {
    const {client, auth} = await world({
      dial: () => Promise.reject(problem('host_unreachable', 'connection refused')),
    })
    auth.losing.add('session.connect')
    await expect(client.openChannel('session')).rejects.toThrow('connection refused')
  })
})

describe('the end of a forwarded connection', () => {
  it('comes after every session is on record', async () => {
    const {client, auth, forwarder} = await world()
    const channels = await Promise.all([shell(client), shell(client)])
    for (const channel of channels) channel.stderr.resume()
    forwarder.end(problem('unavailable', 'the proxy is shutting down'))
    await forwarder.done
    expect(auth.named('session.end')).toHaveLength(2)
    expect(auth.sealed).toHaveLength(2)
    await client.closed
  })

  it('does not wait for a target that never answers', async () => {
    const silent = streamPair()
    const {client, forwarder} = await world({dial: async () => silent[0]})
    void client.openChannel('session').catch(() => undefined)
    await settle()
    forwarder.end(problem('unavailable', 'the proxy is shutting down'))
    await forwarder.done
    // The handshake with the target would give up after half a minute.
  }, 25_000)
})

describe('a lock', () => {
  const locked = problem('access_denied', 'the user joe is locked: see me')

  it('ends a running session with its words, puts that on record, and cuts the connection', async () => {
    const guard = openGuard()
    const {client, auth, forwarder} = await world({guard})
    const channel = await shell(client)
    let said = ''
    channel.stderr.on('data', chunk => {
      said += chunk
    })
    const [entry] = guard.inside
    expect(entry).toMatchObject({identity: {user: 'joe'}, logins: ['root'], host: 'target.test'})
    entry?.onLocked(locked)
    await client.closed
    await forwarder.done
    expect(said).toContain('the user joe is locked: see me')
    expect(auth.named('client.disconnect')).toMatchObject([{user: 'joe', fields: {reason: locked.message}}])
    expect(auth.named('session.end')).toHaveLength(1)
    expect(guard.inside.size).toBe(0)
  })

  it('cuts a connection whose records cannot be finished', async () => {
    const guard = openGuard()
    const {client, auth} = await world({guard})
    await shell(client)
    let open: () => void = () => undefined
    auth.gate = new Promise(resolve => {
      open = resolve
    })
    for (const entry of guard.inside) entry.onLocked(locked)
    expect((await client.closed)?.message).toContain('the user joe is locked')
    open()
  })

  it('that came during the login refuses the connection, on record', async () => {
    const guard: ConnectionGuard = {
      enter() {
        throw locked
      },
    }
    const {client, auth, targets} = await world({guard})
    expect((await client.closed)?.message).toContain('the user joe is locked')
    expect(auth.named('session.rejected')).toMatchObject([{user: 'joe', error: locked.message}])
    expect(targets).toEqual([])
  })

  it('on the address of a host keeps the forwarder from speaking to it', async () => {
    const reached: string[] = []
    const guard: ConnectionGuard = {
      enter: () => ({
        leave: () => undefined,
        reached(address) {
          reached.push(address)
          throw problem('access_denied', 'the node 192.0.2.7 is locked')
        },
      }),
    }
    const [ours, theirs] = streamPair()
    let heard = 0
    theirs.on('data', chunk => {
      heard += chunk.length
    })
    const {client} = await world({guard, dial: async () => ours})
    await expect(client.openChannel('session')).rejects.toThrow('the node 192.0.2.7 is locked')
    expect({reached, heard}).toEqual({reached: ['192.0.2.7:22'], heard: 0})
  })
})
