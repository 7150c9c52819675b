import {once} from 'node:events'
import {connect, type Socket} from 'node:net'
import {describe, expect, it, vi} from 'vitest'
import {problem} from '../../../src/lib/errors/index.js'
import {type NodeOptions, startNode} from '../../../src/lib/node/start.js'
import type {NodeAuth} from '../../../src/lib/node/types.js'
import {createUserSockets} from '../../../src/lib/node/user-sockets.js'
import {createNewcomers} from '../../../src/lib/session/index.js'
import type {HostKeys} from '../../../src/lib/ssh/index.js'
import {signerFromKey} from '../../../src/lib/sshcert/index.js'
import {atEnd} from '../../support/cleanup.js'
import {certify, connectOn, newKey, settle} from '../ssh/fixture.js'
import {extensions, hostId, nodeSettings, text, type WorldOptions} from './fixture.js'

/** A node that listens on loopback; what it asks of the auth service is answered in memory. */
async function listening(more: Partial<NodeOptions> = {}, wish: WorldOptions = {}) {
  const made = nodeSettings(wish)
  const beats: unknown[] = []
  const auth = Object.assign(made.auth as unknown as NodeAuth, {
    heartbeat: vi.fn(async (record: unknown) => void beats.push(record)),
    issueNodeHostCertificate: vi.fn(async ({publicKey}: {publicKey: Buffer}) =>
      certify(newKey(), 'host', {publicKey}),
    ),
    watchLocks: async ({signal}: {signal: AbortSignal}) => follow(signal),
  })
  const node = await startNode({
    listen: {host: '127.0.0.1', port: 0},
    advertise: ({port}) => `192.0.2.7:${port}`,
    ...{clusterName: 'test', recording: made.settings.recording},
    ...{auth, hostId, nodename: 'DB1', version: '1.2.3', labels: {env: 'test'}, commandLabels: []},
    maxConnections: 1000,
    keepAliveMilliseconds: 0,
    system: made.settings.system,
    hub: made.settings.hub,
    sockets: createUserSockets(1000),
    log: made.settings.log,
    now: Date.now,
    sessionId: made.settings.sessionId,
    ...more,
  })
  atEnd(() => node.close(0))
  const dial = async (): Promise<Socket> => {
    const socket = connect(node.address.port, '127.0.0.1')
    socket.on('error', () => undefined)
    await once(socket, 'connect')
    return socket
  }
  const key = newKey()
  const blob = await certify(key, 'user', {extensions})
  const login = async () =>
    connectOn(await dial(), {credentials: async () => [{blob, signer: signerFromKey(key)}]})
  return {...made, auth, node, beats, dial, login}
}

async function* follow(signal: AbortSignal): AsyncGenerator<readonly never[]> {
  yield []
  await once(signal, 'abort')
}

describe('a node', () => {
  it('tells the cluster that it is there, under its own name and labels', async () => {
    const {beats, node} = await listening()
    expect(beats).toEqual([
      {
        ...{id: hostId, subKind: 'node', hostname: 'db1', labels: {env: 'test'}, version: '1.2.3'},
        address: `192.0.2.7:${node.address.port}`,
      },
    ])
  })

  it('serves nobody without a certificate of its own', async () => {
    const refused = {issueNodeHostCertificate: () => Promise.reject(problem('access_denied', 'not joined'))}
    const made = await listening().then(({auth}) => ({...auth, ...refused}))
    await expect(listening({auth: made as NodeAuth})).rejects.toThrow('not joined')
  })

  it('shows the certificate of the process before while nobody gives it one', async () => {
    const keep = vi.fn(async (_keys: () => HostKeys) => undefined)
    const {node} = await listening({hostKeys: {keep}})
    const kept = keep.mock.lastCall?.[0]()
    const {publicBlob} = node.hostIdentity()
    expect(kept?.certificates).toEqual([publicBlob])
    const made = await listening()
    const nobody = {issueNodeHostCertificate: () => Promise.reject(problem('unavailable', 'away'))}
    const again = await listening({
      auth: {...made.auth, ...nobody} as NodeAuth,
      hostKeys: {keep, ...(kept && {begun: kept})},
    })
    expect(again.node.hostIdentity().publicBlob).toEqual(publicBlob)
  })

  it('goes on checking certificates by the authorities it knew while the auth service is away', async () => {
    const {auth, login} = await listening()
    auth.trustedAuthorities = () => Promise.reject(problem('unavailable', 'away'))
    await expect(login()).resolves.toBeDefined()
  })

  it('takes nobody in whom it cannot have decided about', async () => {
    const {auth, login} = await listening()
    auth.decide = () => Promise.reject(problem('unavailable', 'away'))
    await expect(login()).rejects.toThrow()
  })

  it('lets sessions end by themselves before it closes, ends them after that, and waits for their records', async () => {
    const {auth, node, login, processes} = await listening()
    const client = await login()
    const [patient, endless] = [await client.openChannel('session'), await client.openChannel('session')]
    for (const channel of [patient, endless]) {
      channel.resume()
      await channel.request('exec', text('work'))
    }
    const said: string[] = []
    endless.stderr.on('data', chunk => said.push(String(chunk)))
    const closed = node.close(300)
    await settle()
    expect(processes.map(({calls}) => calls)).toEqual([[], []])
    processes[0]?.exit({code: 0})
    await closed
    expect(processes[1]?.calls).toEqual(['kill'])
    await vi.waitFor(() =>
      expect(said.join('')).toContain('the node is shutting down; connect again in a moment [unavailable]'),
    )
    const ends = (auth as unknown as {named(event: string): {fields?: Record<string, unknown>}[]}).named(
      'session.end',
    )
    expect(ends.map(({fields}) => fields?.exit_code)).toEqual([0, undefined])
    const socket = connect(node.address.port, '127.0.0.1')
    const [error] = await once(socket, 'error')
    expect(error).toMatchObject({code: 'ECONNREFUSED'})
  })
})

describe('clients that never log in', () => {
  it('are sent away at the grace time', async () => {
    const {dial} = await listening({graceMilliseconds: 100})
    const silent = await dial()
    silent.resume()
    await once(silent, 'close')
    // By themselves they have half a minute.
  }, 25_000)

  it('a thousand of them, do not keep others out', async () => {
    const {dial, login} = await listening({maxConnections: 5000})
    const silent = await Promise.all(Array.from({length: 1000}, dial))
    // Greeted: what it costs to take them all in is not what others wait for.
    await Promise.all(silent.map(socket => Promise.race([once(socket, 'data'), once(socket, 'close')])))
    await expect(login()).resolves.toBeDefined()
    for (const socket of silent) socket.destroy()
    // After half a minute they would be gone.
  }, 25_000)

  it('give way, the oldest first, of each address by itself', () => {
    const newcomers = createNewcomers({perAddress: 2, inAll: 3})
    const gone: string[] = []
    const arrive = (name: string, address: string) => {
      const socket = {destroy: () => gone.push(name), once: () => undefined}
      newcomers.arrive(socket as never, address)
      return socket
    }
    arrive('a1', 'a')
    const second = arrive('a2', 'a')
    arrive('b1', 'b')
    arrive('a3', 'a')
    expect(gone).toEqual(['a1'])
    newcomers.leave(second as never)
    arrive('c1', 'c')
    expect(gone).toEqual(['a1'])
    arrive('d1', 'd')
    expect(gone).toEqual(['a1', 'b1'])
  })
})

describe('floods on one connection', () => {
  it('of channels end at the limits: ten sessions, 256 channels', async () => {
    const {login} = await listening()
    const client = await login()
    const asked = await Promise.allSettled(Array.from({length: 2000}, () => client.openChannel('session')))
    expect(asked.filter(({status}) => status === 'fulfilled')).toHaveLength(10)
  })

  it('of variables, a command of a megabyte and 2³¹ columns neither start nor break anything', async () => {
    const {login, processes} = await listening()
    const client = await login()
    const channel = await client.openChannel('session')
    channel.resume()
    const variable = (n: number): Buffer => Buffer.concat([text(`V${n}`), text('x'.repeat(200))])
    const taken = await Promise.all(Array.from({length: 250}, (_, n) => channel.request('env', variable(n))))
    for (let round = 1; round < 4; round++)
      taken.push(
        ...(await Promise.all(
          Array.from({length: 250}, (_, n) => channel.request('env', variable(round * 250 + n))),
        )),
      )
    expect(taken.filter(Boolean).length).toBeLessThanOrEqual(256)
    const wide = Buffer.concat([
      text('xterm'),
      Buffer.from('7fffffff7fffffff0000000000000000', 'hex'),
      text(''),
    ])
    expect(await channel.request('pty-req', wide)).toBe(true)
    expect(await channel.request('exec', text('x'.repeat(1_000_000)))).toBe(false)
    expect(processes).toEqual([])
    expect(await channel.request('exec', text('true'))).toBe(true)
    expect(processes[0]?.spec.terminal).toMatchObject({columns: 10_000, rows: 10_000})
  })

  it('of output that nobody reads pauses the program', async () => {
    const {login, processes} = await listening()
    const client = await login()
    const channel = await client.openChannel('session')
    await channel.request('exec', text('yes'))
    const out = processes[0]?.stdout
    let written = 0
    const chunk = Buffer.alloc(64 * 1024)
    const pump = async (): Promise<void> => {
      while (out?.writable && written < 500_000_000) {
        written += chunk.length
        if (!out.write(chunk))
          await Promise.race([once(out, 'drain'), settle(400).then(() => Promise.reject(new Error('held')))])
      }
    }
    await expect(pump()).rejects.toThrow('held')
    expect(written).toBeLessThan(40_000_000)
    client.disconnect()
  })
})
