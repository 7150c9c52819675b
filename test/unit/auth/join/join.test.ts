import {generateKeyPairSync, X509Certificate} from 'node:crypto'
import {describe, expect, test} from 'vitest'
import type {AuthApi, Caller} from '../../../../src/lib/auth/index.js'
import {createFailureLimit} from '../../../../src/lib/auth/join/failure-limit.js'
import {authorityPin, readTlsHost} from '../../../../src/lib/pki/index.js'
import {type Auth, failure, hour, minute, openAuth} from '../fixture.js'

const hostId = '6f4c1a56-1f0e-4a8e-9a35-0d9c1c0d7c11'
const otherId = '7f4c1a56-1f0e-4a8e-9a35-0d9c1c0d7c11'

const newKey = (namedCurve = 'prime256v1'): string =>
  generateKeyPairSync('ec', {namedCurve}).publicKey.export({type: 'spki', format: 'pem'}).toString()

const from = (auth: Auth, address: string): AuthApi => auth.service.as({kind: 'anonymous', address})

const request = (token: string, changes: Partial<Parameters<AuthApi['join']>[0]> = {}) => ({
  ...{token, hostId, nodename: 'db1', roles: ['node' as const], publicKey: newKey()},
  ...changes,
})

describe('a join token', () => {
  test('lets one machine in, with certificates for its roles alone, on record', async () => {
    const auth = await openAuth()
    const {token, id} = await auth.admin.createToken({roles: ['node', 'proxy']})
    const joined = await auth.anonymous.join(request(token, {roles: ['node', 'proxy']}))
    expect(joined.clusterName).toBe('acme.example')
    expect(joined.authorities).toEqual(auth.authorities.tlsHostAuthorities())
    expect(joined.certificates.map(({certificate}) => readTlsHost(new X509Certificate(certificate)))).toEqual(
      [
        {role: 'node', hostId, clusterName: 'acme.example'},
        {role: 'proxy', hostId, clusterName: 'acme.example'},
      ],
    )
    expect((await auth.events('instance.join'))[0]).toMatchObject({
      ...{success: true, code: 'TJ002I', host_id: hostId, nodename: 'db1', roles: ['node', 'proxy']},
      ...{method: 'token', 'addr.remote': '192.0.2.7'},
    })
    expect((await auth.events('join_token.create'))[0]).toMatchObject({
      code: 'TJT00I',
      by: 'admin',
      token: id,
    })
    expect(await auth.admin.listTokens()).toEqual([])
  })

  test('is good once, also for a hundred at the same time', async () => {
    const auth = await openAuth()
    const {token} = await auth.admin.createToken({roles: ['node']})
    const attempts = await Promise.allSettled(
      Array.from({length: 100}, (_, i) =>
        from(auth, `192.0.2.${i}`).join(
          request(token, {hostId: hostId.replace(/.{3}$/, String(i).padStart(3, '0'))}),
        ),
      ),
    )
    expect(attempts.filter(({status}) => status === 'fulfilled')).toHaveLength(1)
    const refusals = attempts.flatMap(one => (one.status === 'rejected' ? [one.reason.code] : []))
    expect(new Set(refusals)).toEqual(new Set(['token_invalid']))
  })

  test('expires', async () => {
    const auth = await openAuth()
    const {token, expires} = await auth.admin.createToken({roles: ['node'], ttlSeconds: 60})
    expect(expires).toBe(auth.clock.now + minute)
    auth.clock.now += minute
    expect((await failure(auth.anonymous.join(request(token)))).code).toBe('token_invalid')
    expect(await auth.admin.listTokens()).toEqual([])
  })

  test('for nodes makes no proxy, and is not used up by the attempt', async () => {
    const auth = await openAuth()
    const {token} = await auth.admin.createToken({roles: ['node']})
    for (const roles of [['proxy'], ['node', 'proxy'], []] as ('node' | 'proxy')[][])
      expect((await failure(auth.anonymous.join(request(token, {roles})))).code).toBe('access_denied')
    expect((await auth.events('instance.join'))[0]).toMatchObject({success: false, code: 'TJ002E'})
    await auth.anonymous.join(request(token))
  })

  test('is kept as a hash alone', async () => {
    const auth = await openAuth()
    const {token} = await auth.admin.createToken({roles: ['node']})
    const stored = await auth.backend.range('join-tokens/')
    expect(stored).toHaveLength(1)
    expect(JSON.stringify(stored.map(({key, value}) => [key, value.toString()]))).not.toContain(token)
    expect(JSON.stringify(await auth.events())).not.toContain(token)
    expect(JSON.stringify(await auth.admin.listTokens())).not.toContain(token)
  })

  test('comes with the pins of the authority', async () => {
    const auth = await openAuth()
    const {caPins} = await auth.admin.createToken({roles: ['node']})
    expect(caPins).toEqual(auth.authorities.tlsHostAuthorities().map(authorityPin))
  })

  test('can be taken back by its ID, and by itself', async () => {
    const auth = await openAuth()
    const [one, two] = [
      await auth.admin.createToken({roles: ['node']}),
      await auth.admin.createToken({roles: ['node'], value: 'of-my-own-making', ttlSeconds: 3600}),
    ]
    expect((await auth.admin.listTokens()).map(({id}) => id)).toEqual([one.id, two.id])
    await auth.admin.removeToken(one.id)
    await auth.admin.removeToken('of-my-own-making')
    for (const {token} of [one, two])
      expect((await failure(auth.anonymous.join(request(token)))).code).toBe('token_invalid')
    expect((await failure(auth.admin.removeToken(one.id))).code).toBe('not_found')
    expect(await auth.events('join_token.delete')).toHaveLength(2)
  })

  test.each([
    ['for a second', {roles: ['node' as const], ttlSeconds: 1}],
    ['for ever', {roles: ['node' as const], ttlSeconds: Number.POSITIVE_INFINITY}],
    ['for nothing', {roles: []}],
    ['short', {roles: ['node' as const], value: 'guess-me'}],
    ['with a blank', {roles: ['node' as const], value: 'a token of my own'}],
  ])('%s is not made', async (_, wish) => {
    const auth = await openAuth()
    expect((await failure(auth.admin.createToken(wish))).code).toBe('invalid_input')
  })

  test('of the configuration is good many times, and stays', async () => {
    const auth = await openAuth({staticTokens: [{value: 'static-secret-of-the-file', roles: ['node']}]})
    await auth.anonymous.join(request('static-secret-of-the-file'))
    await auth.anonymous.join(request('static-secret-of-the-file', {hostId: otherId}))
    const refused = auth.anonymous.join(request('static-secret-of-the-file', {roles: ['proxy']}))
    expect((await failure(refused)).code).toBe('access_denied')
    expect(await auth.admin.listTokens()).toEqual([{roles: ['node'], createdBy: 'configuration'}])
    expect((await failure(auth.admin.removeToken('static-secret-of-the-file'))).code).toBe('invalid_input')
    const twin = auth.admin.createToken({roles: ['proxy'], value: 'static-secret-of-the-file'})
    expect((await failure(twin)).code).toBe('already_exists')
  })
})

describe('a machine', () => {
  test('that has joined cannot be joined as by another one', async () => {
    const auth = await openAuth()
    const join = async (changes: object) => {
      const {token} = await auth.admin.createToken({roles: ['node', 'proxy']})
      return auth.anonymous.join(request(token, changes))
    }
    const publicKey = newKey()
    await join({publicKey})
    expect((await failure(join({}))).code).toBe('access_denied')
    // Itself may, as what it was not yet.
    await join({publicKey, roles: ['proxy']})
    // When its certificates have run out, its UUID is free again.
    auth.clock.now += 91 * 24 * hour
    await join({})
  })

  test.each([
    ['a name', {hostId: 'db1'}],
    ['capitals', {hostId: hostId.toUpperCase()}],
    ['no name', {nodename: ''}],
    ['a blank', {nodename: 'a b'}],
    ['a long one', {nodename: 'a'.repeat(254)}],
    ['no key', {publicKey: ''}],
    ['another curve', {publicKey: newKey('secp384r1')}],
    [
      'a private key',
      {
        publicKey: generateKeyPairSync('ec', {namedCurve: 'prime256v1'})
          .privateKey.export({type: 'pkcs8', format: 'pem'})
          .toString(),
      },
    ],
  ])('with %s is refused, and the token stays good', async (_, changes) => {
    const auth = await openAuth()
    const {token} = await auth.admin.createToken({roles: ['node']})
    expect((await failure(auth.anonymous.join(request(token, changes)))).code).toBe('invalid_input')
    await auth.anonymous.join(request(token))
  })

  test('renews its certificate for its own role and key alone', async () => {
    const auth = await openAuth()
    const {token} = await auth.admin.createToken({roles: ['node']})
    const publicKey = newKey()
    await auth.anonymous.join(request(token, {publicKey}))
    const as = (caller: Caller) => auth.service.as(caller)
    const node: Caller = {kind: 'system', role: 'node', hostId}
    const {certificates} = await as(node).renewHostCertificates({publicKey})
    expect(certificates.map(({certificate}) => readTlsHost(new X509Certificate(certificate)))).toEqual([
      {role: 'node', hostId, clusterName: 'acme.example'},
    ])
    expect((await failure(as(node).renewHostCertificates({publicKey: newKey()}))).code).toBe('access_denied')
    const nobody: Caller = {kind: 'system', role: 'node'}
    expect((await failure(as(nobody).renewHostCertificates({publicKey}))).code).toBe('access_denied')
    // A restored backup knows nothing of it; its certificate does.
    const restored: Caller = {kind: 'system', role: 'proxy', hostId: otherId}
    await as(restored).renewHostCertificates({publicKey: newKey()})
  })
})

describe('guessing', () => {
  test('is slowed down for an address, and goes on record', async () => {
    const auth = await openAuth()
    const guess = (address = '192.0.2.7') =>
      failure(from(auth, address).join(request('wrong'))).then(e => e.code)
    const codes: string[] = []
    for (let i = 0; i < 12; i++) codes.push(await guess())
    expect(codes).toEqual([...Array(10).fill('token_invalid'), 'rate_limited', 'rate_limited'])
    expect(await auth.events('instance.join')).toHaveLength(10)
    const {token} = await auth.admin.createToken({roles: ['node']})
    expect((await failure(auth.anonymous.join(request(token)))).code).toBe('rate_limited')
    expect(await guess('192.0.2.8')).toBe('token_invalid')
    auth.clock.now += minute
    await auth.anonymous.join(request(token))
  })

  test('is slowed down for a machine that has joined, whichever connection it comes on', async () => {
    const auth = await openAuth()
    const codes: string[] = []
    for (let port = 1; port <= 11; port++) {
      const caller: Caller = {kind: 'system', role: 'node', hostId, address: `192.0.2.7:${port}`}
      codes.push((await failure(auth.service.as(caller).join(request('wrong')))).code)
    }
    expect(codes.at(-2)).toBe('token_invalid')
    expect(codes.at(-1)).toBe('rate_limited')
  })

  test('is slowed down for all addresses together', () => {
    const clock = {now: 0}
    const limit = createFailureLimit({
      perAddress: 3,
      total: 5,
      windowMilliseconds: minute,
      now: () => clock.now,
    })
    const refused = (address: string): boolean => {
      try {
        limit.check(address)
        return false
      } catch {
        return true
      }
    }
    for (const address of ['a', 'b', 'c', 'd']) limit.failed(address)
    expect(refused('e')).toBe(false)
    limit.failed('e')
    expect(refused('f')).toBe(true)
    clock.now += minute - 1
    expect(refused('f')).toBe(true)
    clock.now += 1
    expect(refused('f')).toBe(false)
    // A clock that is set back does not shut everybody out.
    for (let i = 0; i < 5; i++) limit.failed('a')
    clock.now = -hour
    expect(refused('a')).toBe(false)
  })
})
