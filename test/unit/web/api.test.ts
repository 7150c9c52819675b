import {describe, expect, it} from 'vitest'
import {problem} from '../../../src/lib/errors/index.js'
import {anInvite, caKey, now, password, rightCode, secret, testWeb} from './fixture.js'

const login = {user: 'joe', password, publicKey: caKey}
const json = (body: unknown) => ({
  headers: {'content-type': 'application/json'},
  payload: typeof body === 'string' ? body : JSON.stringify(body),
})

describe('GET /webapi/ping', () => {
  it('says what the cluster is and where its SSH port listens', async () => {
    const {app} = await testWeb()
    const reply = await app.inject('/webapi/ping')
    expect(reply.statusCode).toBe(200)
    expect(reply.json()).toEqual({
      ...{clusterName: 'test', version: '1.2.3', secondFactor: 'otp', recording: 'proxy', time: now},
      proxy: {ssh: {listen_addr: '127.0.0.1:3023'}},
    })
  })

  it('adds the public SSH address where one is configured', async () => {
    const {app} = await testWeb({sshPublicAddress: 'ssh.example:22'})
    const reply = await app.inject('/webapi/ping')
    expect(reply.json().proxy.ssh.public_addr).toBe('ssh.example:22')
  })
})

describe('POST /webapi/ssh/certs', () => {
  it('passes the request on as the anonymous client at its address', async () => {
    const {app, auth} = await testWeb()
    const request = {...login, otp: '000000', ttlSeconds: 60}
    const reply = await app.inject({
      ...{method: 'POST', url: '/webapi/ssh/certs', remoteAddress: '::ffff:192.0.2.7'},
      ...json(request),
    })
    expect(reply.statusCode).toBe(200)
    expect(reply.json()).toMatchObject({user: 'joe', hostAuthorities: [caKey]})
    expect(reply.headers['cache-control']).toBe('no-store')
    expect(auth.calls).toEqual([{method: 'login', address: '192.0.2.7', request}])
  })

  it('answers a refusal with its code, message and status', async () => {
    const {app} = await testWeb()
    const reply = await app.inject({
      ...{method: 'POST', url: '/webapi/ssh/certs'},
      ...json({...login, password: 'wrong'}),
    })
    expect(reply.statusCode).toBe(401)
    expect(reply.json()).toEqual({
      error: {code: 'bad_credentials', message: 'the name or password is wrong'},
    })
  })

  it.each<[string, unknown]>([
    ['an unknown field', {...login, admin: true}],
    ['a missing field', {user: 'joe', password}],
    ['a wrong type', {...login, user: {$ne: ''}}],
    ['an empty name', {...login, user: ''}],
    ['a password longer than any', {...login, password: 'x'.repeat(1025)}],
    ['a negative lifetime', {...login, ttlSeconds: -1}],
    ['a fractional lifetime', {...login, ttlSeconds: 1.5}],
    ['a list', [login]],
    ['null', null],
    ['a polluted prototype', `{"__proto__":{"user":"joe"},"user":"joe"}`],
    ['a polluted constructor', `{"constructor":{"prototype":{"user":"joe"}}}`],
    ['half of an object', '{"user":'],
    ['nothing', ''],
    ['a body nested very deeply', '['.repeat(30_000) + ']'.repeat(30_000)],
    ['a field nested very deeply', `{"user":${'['.repeat(30_000)}${']'.repeat(30_000)}}`],
  ])('refuses %s before it reaches the auth service', async (_what, body) => {
    const {app, auth} = await testWeb()
    const reply = await app.inject({method: 'POST', url: '/webapi/ssh/certs', ...json(body)})
    expect(reply.statusCode).toBe(400)
    expect(reply.json().error.code).toBe('invalid_input')
    expect(reply.body).not.toContain(password)
    expect(auth.calls).toEqual([])
  })

  it('refuses a body over 64 kB', async () => {
    const {app, auth} = await testWeb()
    const body = json({...login, password: 'x'.repeat(1024 * 1024)})
    const reply = await app.inject({method: 'POST', url: '/webapi/ssh/certs', ...body})
    expect(reply.statusCode).toBe(413)
    expect(reply.json().error.code).toBe('limit_exceeded')
    expect(auth.calls).toEqual([])
  })

  it.each(['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x'])(
    'refuses %s, which a foreign page could send without asking',
    async type => {
      const {app, auth} = await testWeb()
      const reply = await app.inject({
        ...{method: 'POST', url: '/webapi/ssh/certs', payload: JSON.stringify(login)},
        headers: {'content-type': type},
      })
      expect(reply.statusCode).toBe(415)
      expect(auth.calls).toEqual([])
    },
  )

  it.each([{origin: 'https://evil.example'}, {'sec-fetch-site': 'cross-site'}])(
    'refuses a request from another site: %o',
    async headers => {
      const {app, auth} = await testWeb()
      const {payload} = json(login)
      const reply = await app.inject({
        ...{method: 'POST', url: '/webapi/ssh/certs', payload},
        headers: {'content-type': 'application/json', ...headers},
      })
      expect(reply.statusCode).toBe(403)
      expect(reply.json().error.code).toBe('access_denied')
      expect(auth.calls).toEqual([])
    },
  )

  it('limits attempts per address, and tells when to come back', async () => {
    const {app} = await testWeb({limits: {loginsPerMinute: 3}})
    const attempt = (remoteAddress: string) =>
      app.inject({method: 'POST', url: '/webapi/ssh/certs', remoteAddress, ...json(login)})
    for (let count = 0; count < 3; count++) expect((await attempt('192.0.2.1')).statusCode).toBe(200)
    const refused = await attempt('192.0.2.1')
    expect(refused.statusCode).toBe(429)
    expect(refused.json().error).toMatchObject({
      code: 'rate_limited',
      hint: expect.stringContaining('minute'),
    })
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0)
    expect((await attempt('192.0.2.2')).statusCode).toBe(200)
  })

  it('counts a whole IPv6 /64 as one address', async () => {
    const {app} = await testWeb({limits: {loginsPerMinute: 1}})
    const attempt = (remoteAddress: string) =>
      app.inject({method: 'POST', url: '/webapi/ssh/certs', remoteAddress, ...json(login)})
    expect((await attempt('2001:db8:1:2::1')).statusCode).toBe(200)
    expect((await attempt('2001:db8:1:2:ffff::9')).statusCode).toBe(429)
    expect((await attempt('2001:db8:1:3::1')).statusCode).toBe(200)
  })
})

describe('the sign-up token', () => {
  it('shows the invite and is used up by one acceptance', async () => {
    const {app, auth} = await testWeb()
    auth.invites.set('t0ken', anInvite())
    const shown = await app.inject('/webapi/users/password/token/t0ken')
    expect(shown.json()).toMatchObject({user: 'joe', kind: 'invite', otp: {secret}})
    expect(shown.headers['cache-control']).toBe('no-store')

    const accept = () =>
      app.inject({
        ...{method: 'POST', url: '/webapi/users/password/token'},
        ...json({token: 't0ken', password, otp: rightCode}),
      })
    expect((await accept()).json()).toEqual({user: 'joe'})
    const again = await accept()
    expect(again.statusCode).toBe(410)
    expect(again.json().error.code).toBe('token_invalid')
  })

  it.each([
    ['a path', 'a%2F..%2Fb'],
    ['NUL', 'a%00b'],
    ['markup', '%3Cscript%3E'],
    ['3000 characters', 'x'.repeat(3000)],
  ])('is answered as unknown without a look-up when it cannot be one: %s', async (_what, token) => {
    const {app, auth} = await testWeb()
    const reply = await app.inject(`/webapi/users/password/token/${token}`)
    expect(reply.statusCode).toBe(410)
    expect(reply.json().error.code).toBe('token_invalid')
    expect(auth.calls).toEqual([])
  })

  it('cannot be guessed at speed', async () => {
    const {app, auth} = await testWeb({limits: {tokensPerMinute: 5}})
    const statuses: number[] = []
    for (let count = 0; count < 8; count++) {
      statuses.push((await app.inject(`/webapi/users/password/token/guess${count}`)).statusCode)
    }
    expect(statuses).toEqual([410, 410, 410, 410, 410, 429, 429, 429])
    expect(auth.calls).toHaveLength(5)
  })

  it('never reaches the log', async () => {
    const {app, auth, log} = await testWeb()
    auth.invites.set('s3cr3t', anInvite())
    await app.inject('/webapi/users/password/token/s3cr3t')
    await app.inject('/web/invite/s3cr3t')
    await app.inject({
      ...{method: 'POST', url: '/webapi/users/password/token'},
      ...json({token: 's3cr3t', password, otp: 'wrong0'}),
    })
    expect(log).toHaveLength(3)
    expect(log.join('')).not.toMatch(new RegExp(`s3cr3t|${password}|${secret}`))
  })
})

describe('GET /webapi/auth/export', () => {
  it.each(['user', 'host', 'openssh', 'tls-host', 'tls-user'])('gives the %s keys as text', async type => {
    const {app} = await testWeb()
    const reply = await app.inject(`/webapi/auth/export?type=${type}`)
    expect(reply.headers['content-type']).toBe('text/plain; charset=utf-8')
    expect(reply.body).toBe(`cert-authority ${caKey} clustername=test&type=${type}\n`)
  })

  it('ends the last line even when the auth service did not', async () => {
    const {app} = await testWeb({overrides: {exportAuthorities: async () => 'line'}})
    expect((await app.inject('/webapi/auth/export?type=user')).body).toBe('line\n')
  })

  it('passes the wanted fingerprint on', async () => {
    const {app, auth} = await testWeb()
    await app.inject('/webapi/auth/export?type=host&fingerprint=SHA256%3Aabc')
    expect(auth.calls[0]?.request).toEqual({type: 'host', fingerprint: 'SHA256:abc'})
  })

  it.each(['', '?type=recording', '?type=all', '?type=user&type=host', '?type=user&keys=1'])(
    'refuses %s',
    async query => {
      const {app, auth} = await testWeb()
      const reply = await app.inject(`/webapi/auth/export${query}`)
      expect(reply.statusCode).toBe(400)
      expect(reply.json().error.code).toBe('invalid_input')
      expect(auth.calls).toEqual([])
    },
  )
})

describe('errors of the API', () => {
  it('keep a fault of the server in its log', async () => {
    const fault = problem('store_failed', 'cannot write /var/lib/sallyport/state.db')
    const {app, log} = await testWeb({
      overrides: {
        ping: async () => {
          throw fault
        },
      },
    })
    const reply = await app.inject('/webapi/ping')
    expect(reply.statusCode).toBe(507)
    expect(reply.json().error.code).toBe('store_failed')
    expect(reply.body).not.toContain('/var/lib')
    const line = log.map(text => JSON.parse(text)).find(({msg}) => msg === 'request failed')
    expect(line).toMatchObject({err: {message: fault.message}, route: '/webapi/ping'})
    expect(reply.json().error.hint).toContain(line.request)
  })

  it('say so when the auth service does not answer in time', async () => {
    const {app} = await testWeb({
      limits: {handlerMs: 50},
      overrides: {ping: () => new Promise(() => {})},
    })
    const reply = await app.inject('/webapi/ping')
    expect(reply.statusCode).toBe(503)
    expect(reply.json().error.code).toBe('unavailable')
  })

  it.each(['/webapi', '/webapi/', '/webapi/nope', '/webapi?x'])('are JSON for %s', async url => {
    const {app} = await testWeb()
    const reply = await app.inject(url)
    expect(reply.statusCode).toBe(404)
    expect(reply.json().error.code).toBe('not_found')
  })

  it('are a plain line for a path that is no URL', async () => {
    const {app} = await testWeb()
    const reply = await app.inject('/webapi/%zz')
    expect(reply.statusCode).toBe(400)
    expect(reply.headers['x-content-type-options']).toBe('nosniff')
  })
})
