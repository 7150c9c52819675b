import {writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {beforeAll, describe, expect, test} from 'vitest'
import {checkCertificate, parseAuthorizedKey, parseCertificate} from '../../../../src/lib/sshcert/index.js'
import {sshKeygen} from '../../../support/openssh.js'
import {processorTime} from '../../../support/processor-time.js'
import {temporaryDirectory} from '../../../support/temporary-directory.js'
import {
  type Auth,
  codeOf,
  failure,
  hour,
  logIn,
  minute,
  newKeyLine,
  openAuth,
  password,
  signUp,
} from '../fixture.js'

const certificateOf = (line: string) => parseCertificate(parseAuthorizedKey(line).blob)
const wrong = 'wrong horse battery'

describe('a login with the right password', () => {
  let auth: Auth
  beforeAll(async () => {
    auth = await openAuth()
    await signUp(auth)
  })

  test('gets a certificate of the user authority over the own key, with the logins, for twelve hours', async () => {
    const publicKey = newKeyLine()
    const issued = await logIn(auth, {publicKey})
    const certificate = certificateOf(issued.certificate)
    const second = BigInt(Math.floor(auth.clock.now / 1000))
    expect(certificate).toMatchObject({
      ...{kind: 'user', keyId: 'joe', principals: ['joe', 'root']},
      ...{validAfter: second - 60n, validBefore: second + 12n * 3600n},
      publicKey: parseAuthorizedKey(publicKey).blob,
    })
    expect(issued).toMatchObject({user: 'joe', validBefore: Number(certificate.validBefore) * 1000})
    expect(Object.fromEntries(certificate.extensions)).toEqual({
      'permit-pty': '',
      'permit-port-forwarding': '',
      'permit-agent-forwarding': '',
      'teleport-roles': '{"version":"v1","roles":["access"]}',
      'teleport-traits': '{"logins":["joe","root"]}',
    })
    checkCertificate(certificate, {
      ...{kind: 'user', principal: 'root', now: auth.clock.now},
      authorities: auth.authorities.publicKeys('user'),
    })
    expect(issued.hostAuthorities.map(line => parseAuthorizedKey(line).blob)).toEqual(
      auth.authorities.publicKeys('host'),
    )
  })

  test('gets what ssh-keygen reads as meant', async () => {
    const path = join(temporaryDirectory(), 'id-cert.pub')
    writeFileSync(path, `${(await logIn(auth)).certificate}\n`)
    const text = await sshKeygen(['-L', '-f', path])
    expect(text).toMatch(/Type: ssh-ed25519-cert-v01@openssh.com user certificate/)
    expect(text).toMatch(/Key ID: "joe"[\s\S]*Principals:\s+joe\s+root\s+Critical Options: \(none\)/)
  })

  test.each([
    ['a second', 1, 60],
    ['five minutes', 300, 300],
    ['for ever', 10 ** 9, 30 * 3600],
  ])('that asks for %s gets what its role allows', async (_, ttlSeconds, got) => {
    const {validBefore} = await logIn(auth, {ttlSeconds})
    expect((validBefore - auth.clock.now) / 1000).toBeCloseTo(got, -1)
  })

  test('counts no failure for others that are made at the same moment', async () => {
    const all = await Promise.all(Array.from({length: 8}, () => logIn(auth)))
    expect(all.map(({user}) => user)).toEqual(Array(8).fill('joe'))
  })

  test('waits for no more than a few others of the same user', async () => {
    const outcomes = await Promise.allSettled(Array.from({length: 20}, () => logIn(auth)))
    const refused = outcomes.flatMap(outcome => (outcome.status === 'rejected' ? [outcome.reason.code] : []))
    expect(refused).toEqual(Array(4).fill('rate_limited'))
  })

  test('in other case is the same person', async () => {
    expect(certificateOf((await logIn(auth, {user: 'JOE'})).certificate).keyId).toBe('joe')
  })

  test.each([
    ['192.0.2.7', '192.0.2.7'],
    ['::ffff:192.0.2.7', '192.0.2.7'],
    ['2001:DB8::7', '2001:db8:0:0:0:0:0:7'],
    ['fe80::7%eth0', undefined],
    ['unknown', undefined],
  ])('from %s gets a certificate pinned to %s where a role wants that', async (address, pin) => {
    const auth = await openAuth()
    await auth.admin.createResources({
      resources: [
        {
          ...({kind: 'role', version: 'v1', metadata: {name: 'pinned'}} as const),
          spec: {options: {pin_source_ip: true}},
        },
      ],
    })
    await signUp(auth, 'joe', {roles: ['access', 'pinned']})
    const publicKey = newKeyLine()
    const login = auth.service.as({kind: 'anonymous', address}).login({user: 'joe', password, publicKey})
    if (pin === undefined) {
      expect(await failure(login)).toMatchObject({
        ...{code: 'access_denied', message: expect.stringContaining('cannot be told again')},
      })
      expect((await auth.events('user.login'))[0]).toMatchObject({success: false})
    } else {
      const {blob} = parseAuthorizedKey((await login).certificate)
      expect(parseCertificate(blob).extensions.get('pin-source-ip@sallyport')).toBe(pin)
    }
    const signed = await failure(auth.admin.signUser({user: 'joe', publicKey}))
    expect(signed.message).toContain('here nobody logs in')
    expect((await auth.events('cert.create'))[0]).toMatchObject({success: false})
  })

  test('is on record with its address before the certificate is given', async () => {
    await logIn(auth)
    const [login] = await auth.events('user.login')
    expect(login).toMatchObject({code: 'T1000I', user: 'joe', 'addr.remote': '192.0.2.7'})
    expect((await auth.events('cert.create'))[0]).toMatchObject({code: 'TC000I', user: 'joe'})
  })

  test.each([
    ['a certificate', async () => (await logIn(auth)).certificate],
    ['a broken key', async () => newKeyLine().slice(0, 40)],
    ['an RSA key of SHA-1 times', async () => 'ssh-dss AAAAB3NzaC1kc3MAAAAA'],
  ])('and %s in place of a key is refused', async (_, publicKey) => {
    expect((await failure(logIn(auth, {publicKey: await publicKey()}))).code).toBe('invalid_input')
  })
})

describe('a login that is wrong', () => {
  test('says the same for an unknown user, a wrong password, a short and a long one, and an impossible name', async () => {
    const auth = await openAuth()
    await signUp(auth)
    const errors = [
      await failure(logIn(auth, {password: wrong})),
      await failure(logIn(auth, {user: 'nobody', password: wrong})),
      await failure(logIn(auth, {password: 'x'})),
      await failure(logIn(auth, {password: 'x'.repeat(1_000_000)})),
      await failure(logIn(auth, {user: 'a\0b\n*', password})),
    ].map(({code, message, hint}) => ({code, message, hint}))
    expect(new Set(errors.map(error => JSON.stringify(error))).size).toBe(1)
    expect(errors[0]?.code).toBe('bad_credentials')
  })

  test('takes as much work for an unknown user as for a wrong password', async () => {
    const auth = await openAuth()
    const time = async (user: string): Promise<number> => {
      const started = processorTime()
      await failure(logIn(auth, {user, password: wrong}))
      return processorTime() - started
    }
    const names = Array.from({length: 8}, (_, index) => `user${index}`)
    for (const name of names) await signUp(auth, name)
    const known: number[] = []
    const unknown: number[] = []
    for (const name of names) {
      known.push(await time(name))
      unknown.push(await time(`no${name}`))
    }
    const middle = (times: number[]): number => times.sort((a, b) => a - b)[4] ?? 0
    expect(middle(known) / middle(unknown)).toBeGreaterThan(0.5)
    expect(middle(known) / middle(unknown)).toBeLessThan(2)
  })

  test('is on record with the reason, and no password is', async () => {
    const auth = await openAuth()
    await signUp(auth)
    await failure(logIn(auth, {password: wrong}))
    const events = await auth.events()
    expect(events[0]).toMatchObject({event: 'user.login', code: 'T1000W', success: false, user: 'joe'})
    expect(JSON.stringify(events)).not.toMatch(/horse/)
  })

  test('is possible for somebody invited, only after signing up', async () => {
    const auth = await openAuth()
    await auth.admin.createUser({name: 'joe', logins: ['joe']})
    expect((await failure(logIn(auth))).code).toBe('bad_credentials')
  })
})

describe('five failures', () => {
  const failFive = async (auth: Auth): Promise<void> => {
    for (const user of ['joe', 'Joe', 'JOE', 'joe', 'jOe'])
      expect((await failure(logIn(auth, {user, password: wrong}))).code).toBe('bad_credentials')
  }

  test('lock the account for twenty minutes, in any case of the name, and not others', async () => {
    const auth = await openAuth()
    await signUp(auth)
    await signUp(auth, 'ann', {logins: ['ann']})
    await failFive(auth)
    const error = await failure(logIn(auth, {user: 'JOE'}))
    expect(error.code).toBe('account_locked')
    expect(error.message).toContain(new Date(auth.clock.now + 20 * minute).toISOString())
    await logIn(auth, {user: 'ann'})
    expect(await auth.events('user.lock')).toHaveLength(1)
    auth.clock.now += 20 * minute
    await logIn(auth)
  })

  test('are not forgotten by a restart, and an administrator can forgive them', async () => {
    const first = await openAuth()
    await signUp(first)
    await failFive(first)
    const auth = await first.restart()
    expect((await failure(logIn(auth))).code).toBe('account_locked')
    expect(await auth.admin.listUsers()).toMatchObject([
      {state: 'locked', lockedUntil: auth.clock.now + 20 * minute},
    ])
    await auth.admin.unlockUser('Joe')
    await logIn(auth)
    expect((await auth.events('user.unlock'))[0]).toMatchObject({user: 'joe'})
  })

  test('further apart than twenty minutes lock nobody, and success forgives', async () => {
    const auth = await openAuth()
    await signUp(auth)
    for (let count = 0; count < 12; count++) {
      await failure(logIn(auth, {password: wrong}))
      auth.clock.now += 6 * minute
    }
    for (let count = 0; count < 12; count++) {
      if (count % 4 === 0) await logIn(auth)
      else await failure(logIn(auth, {password: wrong}))
    }
    await logIn(auth)
  })

  test('at once count as much as one after the other', async () => {
    const auth = await openAuth()
    await signUp(auth)
    const codes = await Promise.all(
      Array.from({length: 20}, async () => (await failure(logIn(auth, {password: wrong}))).code),
    )
    expect(codes.filter(code => code === 'bad_credentials').length).toBeLessThanOrEqual(5)
    expect((await failure(logIn(auth))).code).toBe('account_locked')
  })

  test('leave certificates that exist and sessions with them alone', async () => {
    const auth = await openAuth()
    await signUp(auth)
    await failFive(auth)
    const proxy = auth.service.as({kind: 'system', role: 'proxy'})
    const identity = {user: 'joe', roles: ['access'], logins: ['joe', 'root'], validBefore: 0}
    expect(await proxy.decide({identity, login: 'root', host: 'db1'})).toMatchObject({allowed: true})
  })
})

describe('a one-time code', () => {
  test('is asked of everybody alike, before anything is looked up', async () => {
    const auth = await openAuth({secondFactor: 'otp'})
    await signUp(auth)
    for (const changes of [{}, {user: 'nobody'}, {password: wrong}, {otp: ''}])
      expect((await failure(logIn(auth, changes))).code).toBe('otp_required')
  })

  test('is good now, one step before and after, and no further', async () => {
    const auth = await openAuth({secondFactor: 'otp'})
    const {secret = ''} = await signUp(auth)
    for (const [seconds, good] of [
      [-60, false],
      [-30, true],
      [0, true],
      [30, true],
      [60, false],
    ] as const) {
      auth.clock.now += hour
      const result = logIn(auth, {otp: codeOf(secret, auth.clock.now + seconds * 1000)})
      if (good) await result
      else expect((await failure(result)).code, `${seconds}`).toBe('bad_credentials')
    }
  })

  test('is good once, of fifty at the same time as well', async () => {
    const auth = await openAuth({secondFactor: 'otp'})
    const {secret = ''} = await signUp(auth)
    auth.clock.now += hour
    const otp = codeOf(secret, auth.clock.now)
    const results = await Promise.allSettled(Array.from({length: 50}, () => logIn(auth, {otp})))
    expect(results.filter(({status}) => status === 'fulfilled')).toHaveLength(1)
  })

  test('that set the authenticator up does not log in as well', async () => {
    const auth = await openAuth({secondFactor: 'otp'})
    const {secret = ''} = await signUp(auth)
    const error = await failure(logIn(auth, {otp: codeOf(secret, auth.clock.now)}))
    expect(error.code).toBe('bad_credentials')
  })

  test('cannot be guessed at leisure', async () => {
    const auth = await openAuth({secondFactor: 'otp'})
    const {secret = ''} = await signUp(auth)
    auth.clock.now += hour
    const right = codeOf(secret, auth.clock.now)
    for (let guess = 0; guess < 5; guess++)
      await failure(logIn(auth, {otp: right === `00000${guess}` ? '999999' : `00000${guess}`}))
    expect((await failure(logIn(auth, {otp: right}))).code).toBe('account_locked')
  })

  test('is not asked of somebody who has one when the cluster asks for none', async () => {
    const first = await openAuth({secondFactor: 'otp'})
    await signUp(first)
    const auth = await first.restart({secondFactor: 'off'})
    await expect(logIn(auth)).resolves.toMatchObject({user: 'joe'})
  })
})
