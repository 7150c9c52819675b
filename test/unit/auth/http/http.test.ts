import {randomBytes} from 'node:crypto'
import {connect, createServer, type Server, type Socket} from 'node:net'
import {join} from 'node:path'
import {type Duplex, duplexPair} from 'node:stream'
import {afterEach, describe, expect, test} from 'vitest'
import {
  type ApiServer,
  type AuthApi,
  type AuthService,
  type Caller,
  createApiServer,
  createAuthClient,
} from '../../../../src/lib/auth/index.js'
import {problem} from '../../../../src/lib/errors/index.js'
import {atEnd} from '../../../support/cleanup.js'
import {temporaryDirectory} from '../../../support/temporary-directory.js'
import {failure, openAuth, signUp, userCaller} from '../fixture.js'

const logged: unknown[] = []
const log = {error: (fields: object) => void logged.push(fields)}
const admin: Caller = {kind: 'admin'}
const servers: (ApiServer | Server)[] = []
afterEach(() => {
  logged.length = 0
  for (const server of servers.splice(0)) server.close()
})

const serve = (service: AuthService): ApiServer => {
  const api = createApiServer(service, log)
  servers.push(api)
  return api
}
const serviceOf = (methods: Partial<AuthApi>): AuthService => ({as: () => methods as AuthApi})

/** Two ends in memory; like a socket, one learns when the other is gone. */
function streamPair(): [Duplex, Duplex] {
  const [near, far] = duplexPair()
  near.on('close', () => far.destroy())
  far.on('close', () => setImmediate(() => near.destroy()))
  return [near, far]
}

/** A client whose every connection is one end of a pair in memory. */
const clientOf = (api: ApiServer, caller: Caller = admin) =>
  createAuthClient({
    async connect() {
      const [near, far] = streamPair()
      api.attach(far, caller)
      return near
    },
  })

/** Sends bytes as they are; resolves with all of the answer, when the server hangs up or `enough` is in it. */
function raw(
  api: ApiServer,
  send: (stream: Duplex) => void,
  enough = /\r\n\r\n.*\}$|^HTTP\/1\.1 431/s,
): Promise<string> {
  const [near, far] = streamPair()
  api.attach(far, admin)
  let answer = ''
  return new Promise(resolve => {
    near.on('data', chunk => {
      answer += chunk
      if (enough.test(answer)) resolve(answer)
    })
    near.on('error', () => resolve(answer))
    near.on('close', () => resolve(answer))
    near.on('end', () => resolve(answer))
    send(near)
  })
}

const post = (method: string, body: string, headers = ''): string =>
  `POST /v1/${method} HTTP/1.1\r\nHost: auth\r\n${headers}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`

describe('the API over a stream', () => {
  test('does what the service does, for the caller of the stream', async () => {
    const auth = await openAuth()
    await signUp(auth)
    const api = serve(auth.service)
    const client = clientOf(api)
    expect(await client.listUsers()).toEqual(await auth.admin.listUsers())
    expect(await client.ping()).toEqual(await auth.admin.ping())
    await client.unlockUser('joe')
    expect(await client.exportAuthorities({type: 'user'})).toBe(
      await auth.admin.exportAuthorities({type: 'user'}),
    )
    const events = await client.listEvents({from: new Date(auth.clock.now - 1), event: ['user.create']})
    expect(events).toMatchObject([{event: 'user.create', user: 'joe'}])
    const joe = clientOf(api, userCaller('joe'))
    expect((await failure(joe.listUsers())).code).toBe('access_denied')
    expect((await failure(joe.createUser({name: 'eve', logins: ['root'], roles: ['editor']}))).code).toBe(
      'access_denied',
    )
  })

  test('works on a Unix socket, many calls at once', async () => {
    const api = serve(serviceOf({removeUser: async name => void name, listUsers: async () => []}))
    const path = join(temporaryDirectory(), 's')
    const server = createServer((socket: Socket) => api.attach(socket, admin))
    servers.push(server)
    await new Promise<void>(resolve => server.listen(path, resolve))
    const client = createAuthClient({connect: async () => connect(path)})
    atEnd(() => client.close())
    expect(await Promise.all(Array.from({length: 50}, () => client.listUsers()))).toHaveLength(50)
  })

  test('gives errors as they are, with their hints, and keeps unforeseen ones to itself', async () => {
    const api = serve(
      serviceOf({
        removeUser: async () => {
          throw problem('not_found', 'there is no user joe', {hint: 'see `users ls`'})
        },
        listUsers: async () => {
          throw new Error('password=hunter2 at /var/lib/secret')
        },
      }),
    )
    const client = clientOf(api)
    expect(await failure(client.removeUser('joe'))).toMatchObject({
      ...{code: 'not_found', message: 'there is no user joe', hint: 'see `users ls`'},
    })
    const error = await failure(client.listUsers())
    expect(error.code).toBe('internal')
    expect(error.message).not.toMatch(/hunter2|secret/)
    expect(logged).toHaveLength(1)
  })

  test('streams a recording of any size, byte for byte, as fast as it is read', async () => {
    const size = 64 * 1024
    const blocks = Array.from({length: 200}, () => randomBytes(size))
    let made = 0
    async function* data() {
      for (const block of blocks) {
        made++
        yield block
      }
    }
    const summary = {sid: 'x', command: '\u00e9'.repeat(16_000)}
    const opened = {summary, data: data()} as unknown as Awaited<ReturnType<AuthApi['openRecording']>>
    const client = clientOf(serve(serviceOf({openRecording: async () => opened})))
    const answer = await client.openRecording('x')
    expect(answer.summary).toEqual(summary)
    const read = answer.data[Symbol.asyncIterator]()
    const first = await read.next()
    await new Promise(resolve => setImmediate(resolve))
    expect(made).toBeLessThan(20)
    const chunks = [first.value as Buffer]
    for (let next = await read.next(); !next.done; next = await read.next()) chunks.push(next.value as Buffer)
    expect(Buffer.concat(chunks).equals(Buffer.concat(blocks))).toBe(true)
  })

  test('shows that a recording was cut off', async () => {
    async function* data() {
      yield Buffer.alloc(10)
      throw new Error('the disk is gone')
    }
    const opened = {summary: {}, data: data()} as unknown as Awaited<ReturnType<AuthApi['openRecording']>>
    const client = clientOf(serve(serviceOf({openRecording: async () => opened})))
    const read = async (): Promise<void> => {
      for await (const _ of (await client.openRecording('x')).data);
    }
    const error = await failure(read())
    expect(error.code).toBe('unavailable')
  })
})

describe('the server refuses', () => {
  const calls: string[] = []
  const service = serviceOf(
    new Proxy(
      {},
      {
        get: (_, name) => async () => {
          calls.push(String(name))
          return {}
        },
      },
    ),
  )
  const codeOf = (answer: string): string | undefined => /"code":"(\w+)"/.exec(answer)?.[1]
  const refuse = async (bytes: string): Promise<string | undefined> => {
    calls.length = 0
    const answer = await raw(serve(service), stream => void stream.write(bytes))
    expect(calls).toEqual([])
    return codeOf(answer)
  }

  test.each([
    'nosuch',
    'constructor',
    '__proto__',
    'toString',
    'login',
    'emit',
    'decide',
    'sealRecording',
    '',
  ])('the method %j', async method => expect(await refuse(post(method, '{}'))).toBe('not_found'))

  test.each([
    ['what is not JSON', 'removeUser', '{"input"'],
    ['an array', 'removeUser', '[]'],
    ['null', 'removeUser', 'null'],
    ['a number for a name', 'removeUser', '{"input":1}'],
    ['an unknown field', 'createUser', '{"input":{"name":"a","logins":["a"],"admin":true}}'],
    ['a prototype', 'createUser', '{"input":{"name":"a","logins":["a"],"__proto__":{"x":1}}}'],
    ['deep nesting', 'createUser', `{"input":${'['.repeat(200_000)}${']'.repeat(200_000)}}`],
    ['thousands of logins', 'createUser', `{"input":{"name":"a","logins":[${'"a",'.repeat(999)}"a"]}}`],
    ['an endless name', 'removeUser', `{"input":"${'a'.repeat(500_000)}"}`],
    ['an endless time', 'resetUser', '{"input":{"name":"a","ttlSeconds":1e999}}'],
  ])('%s', async (_, method, body) => expect(await refuse(post(method, body))).toBe('invalid_input'))

  test('GET', async () => {
    expect(await refuse('GET /v1/ping HTTP/1.1\r\nHost: auth\r\n\r\n')).toBe('not_found')
  })

  test('a body over a megabyte, before it is all sent, with a reason', async () => {
    const head = 'POST /v1/removeUser HTTP/1.1\r\nHost: auth\r\nContent-Length: 1000000000\r\n\r\n'
    expect(await refuse(head + 'a'.repeat(2 * 1024 * 1024))).toBe('limit_exceeded')
  })

  test('a head over its limit', async () => {
    const head = `POST /v1/ping HTTP/1.1\r\nHost: auth\r\nX: ${'a'.repeat(20_000)}\r\n\r\n`
    calls.length = 0
    expect(await raw(serve(service), stream => void stream.write(head))).toMatch(/^HTTP\/1\.1 431/)
    expect(calls).toEqual([])
  })
})

describe('the client', () => {
  const against = (behave: (stream: Duplex) => void) => {
    const client = createAuthClient({
      async connect() {
        const [near, far] = streamPair()
        behave(far)
        return near
      },
    })
    return failure(client.listUsers())
  }
  const answer =
    (body: string, status = '200 OK') =>
    (stream: Duplex) => {
      stream.once('data', () => {
        stream.write(`HTTP/1.1 ${status}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`)
      })
    }

  test.each([
    ['hangs up', (stream: Duplex) => void stream.end(), 'unavailable'],
    [
      'hangs up in the middle',
      (stream: Duplex) =>
        void stream.once('data', () => stream.end('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{')),
      'unavailable',
    ],
    [
      'speaks another protocol',
      (stream: Duplex) => void stream.end('SSH-2.0-OpenSSH_9.2\r\n'),
      'protocol_error',
    ],
    ['answers what is not JSON', answer('<html>'), 'protocol_error'],
    ['fails without a reason', answer('oops', '502 Bad Gateway'), 'protocol_error'],
    [
      'gives an error of no catalogue',
      answer('{"error":{"code":"__proto__","message":"x"}}', '400 Bad Request'),
      'protocol_error',
    ],
  ])('tells when the other end %s', async (_, behave, code) => {
    const error = await against(behave)
    expect(error.code).toBe(code)
    expect(error.message).not.toContain('\n')
  })

  test('passes on why there is no connection', async () => {
    const client = createAuthClient({
      connect: () => Promise.reject(problem('service_not_running', 'no auth service answers')),
    })
    expect((await failure(client.listUsers())).code).toBe('service_not_running')
  })
})
