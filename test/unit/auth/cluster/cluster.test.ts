import {once} from 'node:events'
import {connect as connectHttp2} from 'node:http2'
import {type AddressInfo, createConnection, type Socket} from 'node:net'
import {duplexPair, PassThrough} from 'node:stream'
import {connect as connectTls, createServer as createTlsServer} from 'node:tls'
import {beforeAll, describe, expect, test, vi} from 'vitest'
import {createAuthClient} from '../../../../src/lib/auth/index.js'
import {createMachineKey, joinCluster} from '../../../../src/lib/auth/join/client.js'
import {authorityPin} from '../../../../src/lib/pki/index.js'
import {parseAuthorizedKey} from '../../../../src/lib/sshcert/index.js'
import {failure, logIn, newKeyLine, openAuth, password, signUp} from '../fixture.js'
import {type ClusterOfOne, credentialsOf, hostId, otherId, serveCluster} from './cluster-fixture.js'

let cluster: ClusterOfOne
beforeAll(async () => {
  cluster = await serveCluster(await openAuth({clock: {now: Date.now()}}))
  await signUp(cluster.auth)
})

const codeOf = async (promise: Promise<unknown>): Promise<string> => (await failure(promise)).code
const identity = {user: 'joe', roles: ['access'], logins: ['joe', 'root'], validBefore: 4_000_000_000}

describe('over a connection between machines', () => {
  test('nobody without a certificate may do more than join and ask what the cluster is', async () => {
    const {api} = await cluster.client()
    expect(await api.ping()).toMatchObject({clusterName: 'acme.example'})
    expect(await codeOf(api.decide({identity, login: 'joe', host: 'db1'}))).toBe('access_denied')
    expect(await codeOf(api.trustedAuthorities())).toBe('access_denied')
    expect(await codeOf(api.emit({event: 'exec'}))).toBe('access_denied')
    expect(await codeOf(api.watchLocks({signal: new AbortController().signal}))).toBe('access_denied')
    expect(await codeOf(api.join({...joinRequest(), token: 'wrong'}))).toBe('token_invalid')
  })

  test('a proxy asks for decisions and authorities, whose bytes arrive as they were', async () => {
    const {api} = await cluster.client('proxy')
    expect(await api.decide({identity, login: 'joe', host: 'db1'})).toMatchObject({allowed: true})
    const own = cluster.auth.service.as({kind: 'system', role: 'proxy', hostId})
    expect(await api.trustedAuthorities()).toEqual(await own.trustedAuthorities())
    const {blob} = parseAuthorizedKey(newKeyLine())
    const certificate = await api.issueProxyHostCertificate({principals: ['db1'], publicKey: blob})
    expect(Buffer.isBuffer(certificate)).toBe(true)
  })

  test('a node has what nodes may do, and nothing of a proxy', async () => {
    const {api, anonymous, passOn} = await cluster.client('node')
    const {blob} = parseAuthorizedKey(newKeyLine())
    await expect(api.issueNodeHostCertificate({nodename: 'db1', publicKey: blob})).resolves.toBeDefined()
    expect(await codeOf(api.issueProxyHostCertificate({principals: ['db1'], publicKey: blob}))).toBe(
      'access_denied',
    )
    expect(await codeOf(anonymous('192.0.2.1').ping())).toBe('access_denied')
    const certificate = parseAuthorizedKey((await logIn(cluster.auth)).certificate).blob
    const refused = passOn(new PassThrough(), {certificate, address: '192.0.2.1'})
    expect(await codeOf(refused)).toBe('access_denied')
  })

  test('a node speaks for itself alone', async () => {
    const {api} = await cluster.client('node')
    const beat = {subKind: 'node' as const, hostname: 'db1', labels: {}}
    await api.heartbeat({...beat, id: hostId})
    expect(await codeOf(api.heartbeat({...beat, id: otherId}))).toBe('access_denied')
  })

  test('a proxy says where links lead, a node does not', async () => {
    const {api} = await cluster.client('proxy')
    await api.announceProxy({webUrl: 'https://web.acme.example:3080'})
    expect((await cluster.auth.events('proxy.announce'))[0]).toMatchObject({server_id: hostId})
    for (const webUrl of ['http://a', 'https://a/b', 'https://a b', 'https://a?x', 'javascript:alert(1)', ''])
      expect(await codeOf(api.announceProxy({webUrl}))).toBe('invalid_input')
    const node = await cluster.client('node')
    expect(await codeOf(node.api.announceProxy({webUrl: 'https://a'}))).toBe('access_denied')
  })

  test('methods for people are not there', async () => {
    const {server} = cluster
    const session = connectHttp2(`https://127.0.0.1:${server.address.port}`, {
      ca: [...cluster.auth.authorities.tlsHostAuthorities()],
      checkServerIdentity: () => undefined,
    })
    for (const [method, path] of [
      ['POST', '/v1/createUser'],
      ['POST', '/v1/signUser'],
      ['POST', '/v1/__proto__'],
      ['POST', '/v1/constructor'],
      ['POST', '/'],
      ['GET', '/v1/ping'],
    ]) {
      const stream = session.request({':method': method as string, ':path': path as string})
      if (method === 'POST') stream.end('{"input":[]}')
      const [headers] = (await once(stream, 'response')) as [Record<string, unknown>]
      expect([path, headers[':status']]).toEqual([path, 400])
    }
    session.destroy()
  })

  test.each([
    ['no JSON', 'x'],
    ['another shape', '{"input":[{"user":"joe"}]}'],
    ['an unknown field', '{"input":[{"identity":{},"login":"joe","host":"db1","admin":true}]}'],
    ['depth', `{"input":${'['.repeat(10_000)}${']'.repeat(10_000)}}`],
    ['over a megabyte', `{"input":["${'x'.repeat(1024 * 1024)}"]}`],
  ])('a request with %s is refused, and the connection goes on', async (_, text) => {
    const credentials = await credentialsOf(cluster.auth, 'proxy')
    const session = connectHttp2(`https://127.0.0.1:${cluster.server.address.port}`, {
      ...{ca: [...credentials.authorities], key: credentials.own.key, cert: credentials.own.certificate},
      checkServerIdentity: () => undefined,
    })
    const ask = async (method: string, body: string): Promise<unknown> => {
      const stream = session.request({':method': 'POST', ':path': `/v1/${method}`})
      stream.on('error', () => undefined)
      stream.end(body)
      const [headers] = (await once(stream, 'response')) as [Record<string, unknown>]
      stream.resume()
      return headers[':status']
    }
    expect(await ask('decide', text)).toBe(400)
    expect(await ask('ping', '{"input":[]}')).toBe(200)
    session.destroy()
  })

  test('recordings arrive byte by byte', async () => {
    const {api} = await cluster.client('proxy')
    const sid = '11111111-2222-4333-8444-555555555555'
    const {createRecordingWriter} = await import('../../../../src/lib/recording/index.js')
    const writer = createRecordingWriter({
      meta: {
        ...{sid, cluster: 'acme.example', user: 'joe', login: 'root', host: 'db1', address: '192.0.2.9:22'},
        ...{startedAt: cluster.auth.clock.now, interactive: true, width: 80, height: 24},
      },
      sink: {begin: api.beginRecording, append: api.appendRecording, seal: api.sealRecording},
    })
    await writer.started()
    writer.output(Buffer.from('\u001b[1mgrüße\r\n\xff'), 'stdout')
    await writer.end()
    const {summary} = await cluster.auth.recordings.open(sid)
    expect(summary).toMatchObject({state: 'sealed', user: 'joe'})
  })

  test('locks are followed', async () => {
    const {api} = await cluster.client('node')
    const stop = new AbortController()
    const seen: string[][] = []
    for await (const locks of await api.watchLocks({signal: stop.signal})) {
      seen.push(locks.map(({name}) => name))
      if (seen.length === 1) await cluster.auth.admin.createLock({kind: 'user', name: 'ann'})
      else break
    }
    stop.abort()
    expect(seen).toEqual([[], ['ann']])
  })

  test('a machine that is locked is not listened to', async () => {
    const machine = '8f4c1a56-1f0e-4a8e-9a35-0d9c1c0d7c11'
    const {api} = await cluster.client('node', {machine})
    await api.trustedAuthorities()
    const lock = await cluster.auth.admin.createLock({kind: 'node', name: machine})
    expect(await codeOf(api.trustedAuthorities())).toBe('access_denied')
    await cluster.auth.admin.removeLock(lock.id)
    await api.trustedAuthorities()
  })

  test('a machine that is locked learns of the lock, and of nothing after it', async () => {
    const machine = '9f4c1a56-1f0e-4a8e-9a35-0d9c1c0d7c11'
    const {api} = await cluster.client('node', {machine})
    const stop = new AbortController()
    const seen: string[][] = []
    const follow = async (): Promise<void> => {
      for await (const locks of await api.watchLocks({signal: stop.signal})) {
        seen.push(locks.map(({name}) => name))
        if (seen.length === 1) await cluster.auth.admin.createLock({kind: 'node', name: machine})
      }
    }
    await follow()
    expect(seen.at(-1)).toContain(machine)
    const {length} = seen
    const [lock] = (await cluster.auth.admin.listLocks()).filter(({name}) => name === machine)
    await cluster.auth.admin.removeLock(lock?.id ?? '')
    expect(seen).toHaveLength(length)
  })

  test('a certificate that has expired, or is of another cluster, is told so', async () => {
    const expired = await cluster.client('node', {lifetimeMs: 1})
    expect(await codeOf(expired.api.ping())).toBe('certificate_expired')
    const strangers = await openAuth({clock: {now: Date.now()}})
    const theirs = await credentialsOf(strangers, 'node')
    const stranger = cluster.connect({...theirs, authorities: cluster.auth.authorities.tlsHostAuthorities()})
    expect(await codeOf(stranger.api.ping())).toBe('certificate_rejected')
    // Nor does the stranger's machine believe this auth service.
    expect(await codeOf(cluster.connect(theirs).api.ping())).toBe('tls_untrusted')
  })
})

describe('for others', () => {
  test('a proxy asks on behalf of somebody at its web port, by the address it names', async () => {
    const client = await cluster.client('proxy')
    const anonymous = client.anonymous('198.51.100.7')
    expect(await anonymous.ping()).toMatchObject({clusterName: 'acme.example'})
    const issued = await anonymous.login({user: 'joe', password, publicKey: newKeyLine()})
    expect(issued.user).toBe('joe')
    expect(await codeOf(anonymous.login({user: 'joe', password: 'wrong', publicKey: newKeyLine()}))).toBe(
      'bad_credentials',
    )
    expect((await cluster.auth.events('user.login'))[0]).toMatchObject({'addr.remote': '198.51.100.7'})
  })

  test('a proxy passes a user on, who is who the certificate says', async () => {
    const client = await cluster.client('proxy')
    const certificate = parseAuthorizedKey((await logIn(cluster.auth)).certificate).blob
    const user = createAuthClient({
      connect: async () => {
        const [near, far] = duplexPair()
        void client.passOn(far, {certificate, address: '198.51.100.7'}).catch(() => far.destroy())
        return near
      },
    })
    expect(await user.ping()).toMatchObject({clusterName: 'acme.example'})
    expect(await codeOf(user.listUsers())).toBe('access_denied')
    expect(await user.explainAccess({user: 'joe', login: 'joe', host: 'db1'})).toMatchObject({user: 'joe'})
    user.close()
  })

  test.each(['another authority', 'a changed byte', 'nothing'])(
    'a proxy cannot pass somebody on with a certificate of %s',
    async what => {
      const client = await cluster.client('proxy')
      const strangers = await openAuth({clock: {now: Date.now()}})
      await signUp(strangers)
      const theirs = parseAuthorizedKey((await logIn(strangers)).certificate).blob
      const ours = parseAuthorizedKey((await logIn(cluster.auth)).certificate).blob
      const changed = Buffer.from(ours)
      changed[ours.length - 1] = (changed[ours.length - 1] ?? 0) ^ 1
      const certificate = what === 'nothing' ? Buffer.alloc(0) : what === 'a changed byte' ? changed : theirs
      const refused = client.passOn(new PassThrough(), {certificate, address: '198.51.100.7'})
      expect(await codeOf(refused)).toMatch(/certificate_rejected|protocol_error/)
    },
  )
})

const joinRequest = () => ({
  ...{hostId, nodename: 'db1', roles: ['node' as const]},
  ...{token: '', publicKey: createMachineKey().publicKey},
})

describe('joining', () => {
  const pins = (): string[] => cluster.auth.authorities.tlsHostAuthorities().map(authorityPin)
  const join = async (changes: Partial<Parameters<typeof joinCluster>[0]> = {}) => {
    const {token} = await cluster.auth.admin.createToken({roles: ['node']})
    const machine = crypto.randomUUID()
    return joinCluster({
      ...{server: cluster.server.address, pins: pins(), insecure: false, now: Date.now},
      request: {...joinRequest(), token, hostId: machine},
      ...changes,
    })
  }

  test('with the pin, one of several pins, or in spite of everything', async () => {
    expect(await join()).toMatchObject({clusterName: 'acme.example'})
    expect(await join({pins: [`sha256:${'0'.repeat(64)}`, ...pins()]})).toBeDefined()
    expect(await join({pins: [], insecure: true})).toBeDefined()
  })

  test('a hundred times at once with one token, one machine joins', async () => {
    const {token} = await cluster.auth.admin.createToken({roles: ['node']})
    const attempts = await Promise.allSettled(
      Array.from({length: 100}, () =>
        join({request: {...joinRequest(), token, hostId: crypto.randomUUID()}}),
      ),
    )
    expect(attempts.filter(({status}) => status === 'fulfilled')).toHaveLength(1)
    cluster.auth.clock.now += 60_000
  })

  test('without a pin is refused before anything is connected', async () => {
    const nowhere = {host: '127.0.0.1', port: 1}
    expect(await codeOf(join({pins: [], server: nowhere}))).toBe('tls_untrusted')
  })

  test('with a wrong pin nothing is sent', async () => {
    const received = await countingServer()
    const request = join({server: received.address, pins: [`sha256:${'0'.repeat(64)}`]})
    expect(await failure(request)).toMatchObject({
      code: 'tls_untrusted',
      message: expect.stringContaining('nothing was sent'),
    })
    expect(await received.finish()).toEqual({connections: 1, bytes: 0})
    // An insecure machine that has a pin minds it.
    expect(await codeOf(join({pins: [`sha256:${'0'.repeat(64)}`], insecure: true}))).toBe('tls_untrusted')
  })

  test('with the right pin nothing is sent to a node that stands in for the auth service', async () => {
    const received = await countingServer('node')
    expect(await codeOf(join({server: received.address}))).toBe('tls_untrusted')
    expect((await received.finish()).bytes).toBe(0)
  })

  /** A TLS server that counts what comes after the handshake. */
  async function countingServer(role: 'auth' | 'node' = 'auth') {
    const {own, authorities} = await credentialsOf(cluster.auth, role)
    let bytes = 0
    let connections = 0
    const open = new Set<Socket>()
    const server = createTlsServer(
      {key: own.key, cert: [own.certificate, ...authorities].join(''), ALPNProtocols: ['h2']},
      socket => {
        open.add(socket)
        socket.on('error', () => undefined)
        socket.on('data', data => {
          bytes += data.length
        })
        socket.once('close', () => open.delete(socket))
      },
    )
    server.on('connection', () => connections++)
    server.on('tlsClientError', () => undefined)
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return {
      address: {host: '127.0.0.1', port: (server.address() as AddressInfo).port},
      async finish() {
        await Promise.all([...open].map(socket => once(socket, 'close')))
        await new Promise(resolve => server.close(resolve))
        return {connections, bytes}
      },
    }
  }
})

describe('strangers', () => {
  test('have few calls under way at a time, each of few bytes', async () => {
    const session = connectHttp2(`https://127.0.0.1:${cluster.server.address.port}`, {
      ca: [...cluster.auth.authorities.tlsHostAuthorities()],
      checkServerIdentity: () => undefined,
    })
    session.on('error', () => undefined)
    const calls = Array.from({length: 50}, () => session.request({':method': 'POST', ':path': '/v1/join'}))
    let refused = 0
    for (const call of calls)
      call
        .on('error', () => refused++)
        .on('close', () => undefined)
        .write('{')
    await vi.waitFor(() => expect(refused).toBe(46))
    for (const call of calls) call.close()
    const big = session.request({':method': 'POST', ':path': '/v1/join'})
    big.on('error', () => undefined).setEncoding('utf8')
    let answer = ''
    big.on('data', text => {
      answer += text
    })
    big.end(Buffer.alloc(300_000, 0x20))
    await vi.waitFor(() => expect(answer).toContain('limit_exceeded'))
    session.destroy()
  })

  test('from one address keep few connections open, and machines that have joined do not notice', async () => {
    const authorities = cluster.auth.authorities.tlsHostAuthorities()
    const clients = Array.from({length: 30}, () => cluster.connect({authorities}))
    const answers = await Promise.all(
      clients.map(({api}) =>
        api.ping().then(
          () => 'answered',
          error => error.code as string,
        ),
      ),
    )
    expect(answers.filter(answer => answer === 'unavailable').length).toBeGreaterThanOrEqual(10)
    expect(await (await cluster.client('proxy')).api.ping()).toBeDefined()
    for (const client of clients) client.close()
  })
})

describe('a lost connection', () => {
  test('fails what is under way, and the next call makes another one', async () => {
    const auth = await openAuth({clock: {now: Date.now()}})
    const first = await serveCluster(auth)
    const client = await first.client('proxy')
    await client.api.ping()
    const stop = new AbortController()
    const locks = (await client.api.watchLocks({signal: stop.signal}))[Symbol.asyncIterator]()
    await locks.next()
    const next = locks.next()
    await first.server.close()
    expect(await codeOf(next)).toBe('unavailable')
    expect(await codeOf(client.api.ping())).toBe('unavailable')
    await serveCluster(auth, first.server.address.port)
    auth.clock.now += 60_000
    expect(await client.api.ping()).toMatchObject({clusterName: 'acme.example'})
  })

  test('strangers who say nothing are let go, and hurt nobody', async () => {
    const sockets = Array.from({length: 20}, () => createConnection(cluster.server.address))
    await Promise.all(sockets.map(socket => once(socket, 'connect')))
    const {api} = await cluster.client('proxy')
    expect(await api.ping()).toBeDefined()
    for (const socket of sockets) socket.destroy()
    const old = connectTls({...cluster.server.address, rejectUnauthorized: false, maxVersion: 'TLSv1.2'})
    const [error] = (await once(old, 'error')) as [NodeJS.ErrnoException]
    expect(error.code).toMatch(/VERSION/)
  })
})
