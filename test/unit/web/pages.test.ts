import {describe, expect, it} from 'vitest'
import {problem} from '../../../src/lib/errors/index.js'
import {anInvite, caFingerprint, password, rightCode, secret, type TestWeb, testWeb} from './fixture.js'

const ownPage = {'content-type': 'application/x-www-form-urlencoded', 'sec-fetch-site': 'same-origin'}
const fields = {username: 'joe', password, confirm: password, otp: rightCode}
const plain = (): ReturnType<typeof anInvite> => {
  const {otp: _otp, ...invite} = anInvite({secondFactor: 'off'})
  return invite
}

const submit = (
  {app}: TestWeb,
  form: Record<string, string> | string,
  headers: Record<string, string> = ownPage,
) =>
  app.inject({
    ...{method: 'POST', url: '/web/invite/t0ken', headers: {host: 'proxy.example:3080', ...headers}},
    payload: typeof form === 'string' ? form : new URLSearchParams(form).toString(),
  })

async function invited(invite = anInvite(), options: Parameters<typeof testWeb>[0] = {}): Promise<TestWeb> {
  const web = await testWeb(options)
  web.auth.invites.set('t0ken', invite)
  return web
}

const accepted = ({auth}: TestWeb) => auth.calls.filter(({method}) => method === 'acceptInvite')

describe('GET /web/invite/:token', () => {
  it('shows the account, the two password fields and the authenticator key', async () => {
    const {app} = await invited()
    const reply = await app.inject('/web/invite/t0ken')
    expect(reply.statusCode).toBe(200)
    expect(reply.headers['content-type']).toBe('text/html; charset=utf-8')
    expect(reply.headers['cache-control']).toBe('no-store')
    expect(reply.body).toContain('Welcome, joe')
    expect(reply.body).toMatch(/<input[^>]*autocomplete="username"[^>]*readonly/)
    expect(reply.body.match(/type="password" autocomplete="new-password" required/g)).toHaveLength(2)
    expect(reply.body).toMatch(/<input id="otp"[^>]*autocomplete="one-time-code"/)
    expect(reply.body.replaceAll(/<\/?span>/g, '')).toContain(`>${secret}</code>`)
    expect(reply.body).toMatch(/<svg[^>]*role="img" aria-label="QR code/)
    expect(reply.body).toContain('in 30 minutes')
  })

  it('asks for no code where the cluster has no second factor', async () => {
    const {app} = await invited(plain())
    const {body} = await app.inject('/web/invite/t0ken')
    expect(body).toContain('New password')
    expect(body).not.toMatch(/one-time-code|Authenticator|QR code/)
  })

  it('has other words for a reset', async () => {
    const {app} = await invited(anInvite({kind: 'reset'}))
    const {body} = await app.inject('/web/invite/t0ken')
    expect(body).toContain('Set a new password')
    expect(body).toContain('no longer work')
    expect(body).not.toContain('Welcome')
  })

  it('labels every field', async () => {
    const {app} = await invited()
    const {body} = await app.inject('/web/invite/t0ken')
    const inputs = [...body.matchAll(/<input id="(\w+)"/g)].map(([, id]) => id)
    expect(inputs).toEqual(['username', 'password', 'confirm', 'otp'])
    for (const id of inputs) expect(body).toContain(`<label for="${id}">`)
    for (const [, ids] of body.matchAll(/aria-describedby="([^"]+)"/g)) {
      for (const id of (ids ?? '').split(' ')) expect(body).toContain(`id="${id}"`)
    }
  })

  it.each(['unknown', 'a%2Fb', '%3Cscript%3Ealert(1)%3C%2Fscript%3E', 'x'.repeat(5000)])(
    'explains a dead link and what to do: %#',
    async token => {
      const {app} = await testWeb()
      const reply = await app.inject(`/web/invite/${token}`)
      expect(reply.statusCode).toBe(410)
      expect(reply.body).toContain('This link does not work')
      expect(reply.body).toContain('sallyport</span> <span>users</span> <span>reset')
      expect(reply.body).not.toContain('alert(1)')
    },
  )
})

describe('POST /web/invite/:token', () => {
  it('sets the password and says how to log in at the address that was used', async () => {
    const web = await invited()
    const reply = await submit(web, fields)
    expect(reply.statusCode).toBe(200)
    expect(reply.body).toContain('You are set, joe')
    const command = /<pre><code>(.*?)<\/code>/.exec(reply.body)?.[1]?.replaceAll(/<\/?span>/g, '')
    expect(command).toBe('sallyport login --proxy=proxy.example:3080 --user=joe --insecure')
    expect(accepted(web)[0]?.request).toEqual({token: 't0ken', password, otp: rightCode})
  })

  it('names the public address, and no --insecure, where there is a trusted certificate', async () => {
    const web = await invited(anInvite(), {publicUrl: 'https://sally.example', selfSigned: false})
    const {body} = await submit(web, fields)
    expect(body).toContain('--proxy=sally.example:443')
    expect(body).not.toContain('--insecure')
  })

  it('sends no code where none is asked for', async () => {
    const web = await invited(plain())
    const {statusCode} = await submit(web, {username: 'joe', password, confirm: password})
    expect(statusCode).toBe(200)
    expect(accepted(web)[0]?.request).toEqual({token: 't0ken', password})
  })

  it('takes a code typed with a gap', async () => {
    const web = await invited()
    expect((await submit(web, {...fields, otp: ' 123 456 '})).statusCode).toBe(200)
  })

  it('works once', async () => {
    const web = await invited()
    await submit(web, fields)
    const again = await submit(web, fields)
    expect(again.statusCode).toBe(410)
    expect(again.body).toContain('This link does not work')
  })

  it.each([
    ['confirm', {confirm: `${password}x`}, 'The two passwords are not the same.'],
    ['password', {password: '', confirm: ''}, 'Enter a password.'],
    [
      'password',
      {password: 'short', confirm: 'short'},
      'The password is too short; use 12 to 128 characters.',
    ],
    ['otp', {otp: ''}, 'Enter the six digits that the app shows now.'],
    ['otp', {otp: '12345x'}, 'Enter the six digits that the app shows now.'],
    ['otp', {otp: '654321'}, 'This code is not right. Enter the one that the app shows now.'],
  ])(
    'puts the error beside the field %s, keeps the token and echoes nothing: %o',
    async (field, wrong, words) => {
      const web = await invited()
      const reply = await submit(web, {...fields, ...wrong})
      expect(reply.statusCode).toBe(422)
      expect(reply.body).toContain(`<p class="error" id="${field}-error">${words}</p>`)
      expect(reply.body).toMatch(
        new RegExp(`<input id="${field}"[^>]*aria-describedby="${field}-error[^>]*aria-invalid="true"`),
      )
      expect(reply.body.match(/aria-invalid/g)).toHaveLength(1)
      expect(reply.body).toContain('<title>Error: ')
      expect(reply.body).not.toContain(password)
      expect(web.auth.invites.has('t0ken')).toBe(true)
      expect((await submit(web, fields)).statusCode).toBe(200)
    },
  )

  it.each([
    ['another site', {'sec-fetch-site': 'cross-site', origin: 'null'}],
    ['a sibling site', {'sec-fetch-site': 'same-site', origin: 'https://other.example'}],
    ['another origin', {origin: 'https://evil.example'}],
    ['a sandboxed frame', {origin: 'null'}],
    ['nowhere', {}],
  ])('refuses a form from %s', async (_where, headers: Record<string, string>) => {
    const web = await invited()
    const reply = await submit(web, fields, {'content-type': ownPage['content-type'], ...headers})
    expect(reply.statusCode).toBe(403)
    expect(reply.body).toContain('not sent from its own page')
    expect(web.auth.calls).toEqual([])
  })

  it('takes a form from its own origin in a browser without Fetch Metadata', async () => {
    const web = await invited()
    const headers = {'content-type': ownPage['content-type'], origin: 'https://proxy.example:3080'}
    expect((await submit(web, fields, headers)).statusCode).toBe(200)
  })

  it.each([
    ['JSON', JSON.stringify(fields), {...ownPage, 'content-type': 'application/json'}, 415],
    ['a field twice', 'password=aaaaaaaaaaaa&password=b&confirm=b', ownPage, 400],
    ['an unknown field', `${new URLSearchParams(fields)}&admin=1`, ownPage, 400],
    ['__proto__', `${new URLSearchParams(fields)}&__proto__=1`, ownPage, 400],
    ['no fields', '', ownPage, 400],
    [
      'a password of 2 kB',
      new URLSearchParams({...fields, password: 'x'.repeat(2048)}).toString(),
      ownPage,
      400,
    ],
    ['a megabyte', `password=${'x'.repeat(1024 * 1024)}`, ownPage, 413],
  ])('refuses %s', async (_what, body, headers, status) => {
    const web = await invited()
    const reply = await submit(web, body, headers)
    expect(reply.statusCode).toBe(status)
    expect(reply.headers['content-type']).toContain('text/html')
    expect(accepted(web)).toEqual([])
  })

  it('shows other refusals as a page of their own', async () => {
    const web = await invited(anInvite(), {
      overrides: {
        acceptInvite: async () => {
          throw problem('unavailable', 'too many logins at once', {hint: 'try again in a minute'})
        },
      },
    })
    const reply = await submit(web, fields)
    expect(reply.statusCode).toBe(503)
    expect(reply.body).toContain('Too many logins at once. Try again in a minute.')
  })

  it('limits attempts per address', async () => {
    const web = await invited(anInvite(), {limits: {tokensPerMinute: 2}})
    for (let count = 0; count < 2; count++) await submit(web, {...fields, otp: '654321'})
    const reply = await submit(web, fields)
    expect(reply.statusCode).toBe(429)
    expect(reply.body).toContain('Too many attempts')
    expect(web.auth.invites.has('t0ken')).toBe(true)
  })
})

describe('GET /', () => {
  it('says how to log in and which keys to expect', async () => {
    const {app} = await testWeb()
    const reply = await app.inject({url: '/', headers: {host: '[::1]:3080'}})
    expect(reply.statusCode).toBe(200)
    expect(reply.body).toContain('--proxy=[::1]:3080')
    expect(reply.body.split(caFingerprint)).toHaveLength(3)
    expect(reply.body).toContain('Sessions through it are recorded.')
  })

  it('survives a Host header that is none', async () => {
    const {app} = await testWeb()
    const reply = await app.inject({url: '/', headers: {host: '"><script>alert(1)</script>'}})
    expect(reply.statusCode).toBe(200)
    expect(reply.body).not.toContain('<script')
  })
})

describe('every page', () => {
  const hostile = '<script>alert(1)</script>"\'&'

  it('shows hostile names as text', async () => {
    const uri = `otpauth://totp/x"><script>alert(2)</script>`
    const web = await invited(anInvite({user: hostile, otp: {secret: '<script>alert(3)', uri}}), {
      clusterName: hostile,
    })
    const bodies = [
      (await web.app.inject('/web/invite/t0ken')).body,
      (await submit(web, {...fields, confirm: 'x'})).body,
      (await submit(web, fields)).body,
      (await web.app.inject('/')).body,
      (await web.app.inject(`/${encodeURIComponent(hostile)}`)).body,
    ]
    for (const body of bodies) {
      expect(body).not.toMatch(/<script/i)
      expect(body).toContain('&lt;script&gt;alert(1)&lt;/script&gt;')
    }
  })

  it('links no address that is not an authenticator’s', async () => {
    const {app} = await invited(anInvite({otp: {secret, uri: 'javascript:alert(1)'}}))
    expect((await app.inject('/web/invite/t0ken')).body).not.toContain('javascript:')
  })

  it('has no script, no inline style and nothing from elsewhere, and the strict policy says so', async () => {
    const web = await invited()
    const replies = [
      await web.app.inject('/'),
      await web.app.inject('/nope'),
      await web.app.inject('/web/invite/gone'),
      await web.app.inject('/web/invite/t0ken'),
      await submit(web, fields),
    ]
    for (const {body, headers} of replies) {
      expect(body).not.toMatch(/<script|<style|\sstyle=|\son\w+=|(?:src|href|action)="(?:https?:|\/\/)/i)
      expect(headers['content-security-policy']).toBe(
        "default-src 'none';style-src 'self';img-src 'self';form-action 'self';base-uri 'none';frame-ancestors 'none'",
      )
      expect(headers).toMatchObject({
        'x-content-type-options': 'nosniff',
        'x-frame-options': 'DENY',
        'referrer-policy': 'no-referrer',
        'strict-transport-security': 'max-age=31536000',
        'cache-control': 'no-store',
      })
    }
  })

  it('is 404 where there is nothing', async () => {
    const {app} = await testWeb()
    for (const url of ['/nope', '/web/', '/web/assets/style-0.css', '/favicon.ico', '/web/invite/']) {
      const reply = await app.inject(url)
      expect([url, reply.statusCode]).toEqual([url, url === '/web/invite/' ? 410 : 404])
      expect(reply.headers['content-type']).toContain('text/html')
    }
  })

  it('uses assets that may be kept for ever', async () => {
    const {app} = await testWeb()
    const {body} = await app.inject('/')
    const paths = [...body.matchAll(/"(\/web\/assets\/[^"]+)"/g)].map(([, path]) => path ?? '')
    expect(paths).toHaveLength(2)
    for (const path of paths) {
      const reply = await app.inject(path)
      expect(reply.statusCode).toBe(200)
      expect(reply.headers['cache-control']).toBe('public, max-age=31536000, immutable')
      expect(reply.headers['content-type']).toMatch(/^text\/css|^image\/svg/)
    }
  })
})
