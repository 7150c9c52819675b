import {describe, expect, test} from 'vitest'
import type {Lock} from '../../../../src/lib/access/index.js'
import {parseAuthorizedKey, parseCertificate} from '../../../../src/lib/sshcert/index.js'
import {
  type Auth,
  failure,
  hour,
  logIn,
  newKeyLine,
  openAuth,
  password,
  signUp,
  userCaller,
} from '../fixture.js'

const ask = (auth: Auth, {login = 'root', host = 'db1'} = {}) =>
  auth.service.as({kind: 'system', role: 'proxy'}).decide({
    identity: {user: 'joe', roles: ['access'], logins: ['joe', 'root'], validBefore: 0},
    login,
    host,
  })

async function cluster(): Promise<Auth> {
  const auth = await openAuth()
  await signUp(auth)
  return auth
}

describe('a lock', () => {
  test('is listed and on record until it is taken away', async () => {
    const auth = await cluster()
    const lock = await auth.admin.createLock({kind: 'user', name: 'joe', message: 'laptop stolen'})
    expect(lock).toEqual({
      id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      ...{kind: 'user', name: 'joe', message: 'laptop stolen', created: auth.clock.now, createdBy: 'admin'},
    })
    expect(await auth.admin.listLocks()).toEqual([lock])
    expect(await auth.events('lock.created')).toMatchObject([
      {code: 'TLK00I', by: 'admin', lock: lock.id, kind: 'user', name: 'joe', message: 'laptop stolen'},
    ])
    await auth.admin.removeLock(lock.id)
    expect(await auth.admin.listLocks()).toEqual([])
    expect(await auth.events('lock.deleted')).toMatchObject([{code: 'TLK01I', lock: lock.id}])
    expect((await failure(auth.admin.removeLock(lock.id))).code).toBe('not_found')
  })

  test('ends by itself, and survives a restart until then', async () => {
    const auth = await cluster()
    await auth.admin.createLock({kind: 'login', name: 'root', ttlSeconds: 3600})
    expect(await ask(auth)).toMatchObject({allowed: false})
    const restarted = await auth.restart()
    expect(await ask(restarted)).toEqual({
      allowed: false,
      reason: 'the login root is locked until 2030-01-02T04:04:05.000Z',
    })
    restarted.clock.now += hour
    expect(await ask(restarted)).toMatchObject({allowed: true})
    expect(await restarted.admin.listLocks()).toEqual([])
  })

  test.each([
    [{kind: 'user', name: 'a b'}],
    [{kind: 'login', name: '*'}],
    [{kind: 'role', name: '../x'}],
    [{kind: 'node', name: 'db1:22'}],
    [{kind: 'user', name: 'joe', ttlSeconds: 0.5}],
    [{kind: 'user', name: 'joe', message: 'a\u001b[2J'}],
    [{kind: 'user', name: 'joe', message: 'x'.repeat(257)}],
  ] as const)('is refused as %j', async request => {
    const auth = await openAuth()
    expect((await failure(auth.admin.createLock(request))).code).toBe('invalid_input')
    expect(await auth.admin.listLocks()).toEqual([])
  })
})

describe('a decision names the lock', () => {
  test.each([
    [{kind: 'user', name: 'JOE', message: 'see me'}, 'the user JOE is locked: see me'],
    [{kind: 'role', name: 'access'}, 'the role access is locked'],
    [{kind: 'login', name: 'root'}, 'the login root is locked'],
    [{kind: 'node', name: 'DB1.'}, 'the node db1 is locked'],
  ] as const)('%j', async (request, reason) => {
    const auth = await cluster()
    await auth.admin.createLock(request)
    expect(await ask(auth)).toEqual({allowed: false, reason})
  })

  test('and nobody else is locked', async () => {
    const auth = await cluster()
    await auth.admin.createLock({kind: 'node', name: '2001:DB8:0::1'})
    await auth.admin.createLock({kind: 'login', name: 'root'})
    expect(await ask(auth, {login: 'joe'})).toMatchObject({allowed: true})
    expect(await ask(auth, {login: 'joe', host: '2001:db8::1'})).toMatchObject({allowed: false})
  })
})

describe('a login', () => {
  test('gives a locked user no certificate, and tells why only to who knows the password', async () => {
    const auth = await cluster()
    await auth.admin.createLock({kind: 'user', name: 'joe', message: 'laptop stolen'})
    expect(await failure(logIn(auth))).toMatchObject({
      code: 'account_locked',
      message: 'the user joe is locked: laptop stolen',
    })
    expect(await auth.events('user.login')).toMatchObject([{success: false, user: 'joe'}])
    expect((await failure(logIn(auth, {password: `not ${password}`}))).code).toBe('bad_credentials')
    const signed = auth.admin.signUser({user: 'joe', publicKey: newKeyLine()})
    expect((await failure(signed)).code).toBe('account_locked')
  })

  test('gives no certificate to who has a locked role', async () => {
    const auth = await cluster()
    await auth.admin.createLock({kind: 'role', name: 'access'})
    expect((await failure(logIn(auth))).message).toBe('the role access is locked')
  })

  test('leaves a locked login out of the certificate', async () => {
    const auth = await cluster()
    await auth.admin.createLock({kind: 'login', name: 'root'})
    const {certificate} = await logIn(auth)
    expect(parseCertificate(parseAuthorizedKey(certificate).blob).principals).toEqual(['joe'])
    await auth.admin.createLock({kind: 'login', name: 'joe'})
    expect((await failure(logIn(auth))).message).toBe('the login joe is locked')
  })
})

test('a locked administrator cannot unlock themselves', async () => {
  const auth = await openAuth()
  await signUp(auth, 'eve', {roles: ['editor']})
  const eve = auth.service.as(userCaller('eve', ['editor']))
  const lock = await eve.createLock({kind: 'user', name: 'Eve'})
  expect(await failure(eve.removeLock(lock.id))).toMatchObject({
    code: 'access_denied',
    message: 'the user Eve is locked',
  })
  await auth.admin.removeLock(lock.id)
  expect(await eve.listLocks()).toEqual([])
})

describe('whoever watches locks', () => {
  const watch = async (auth: Auth) => {
    const stop = new AbortController()
    const locks = await auth.service.as({kind: 'system', role: 'proxy'}).watchLocks({signal: stop.signal})
    const iterator = locks[Symbol.asyncIterator]()
    const next = async (): Promise<string[]> =>
      ((await iterator.next()).value as Lock[]).map(({name}) => name)
    return {iterator, next, stop}
  }

  test('gets those there are, and all of them again after each change', async () => {
    const auth = await openAuth()
    const first = await auth.admin.createLock({kind: 'user', name: 'joe'})
    const {next} = await watch(auth)
    expect(await next()).toEqual(['joe'])
    const waiting = next()
    await auth.admin.createLock({kind: 'user', name: 'ann'})
    expect(await waiting).toEqual(['joe', 'ann'])
    await auth.admin.removeLock(first.id)
    expect(await next()).toEqual(['ann'])
  })

  test('and is slow, gets the newest state alone', async () => {
    const auth = await openAuth()
    const {next} = await watch(auth)
    expect(await next()).toEqual([])
    for (const name of ['a', 'b', 'c']) await auth.admin.createLock({kind: 'user', name})
    expect(await next()).toEqual(['a', 'b', 'c'])
    const waiting = next()
    await auth.admin.createLock({kind: 'user', name: 'd'})
    expect(await waiting).toEqual(['a', 'b', 'c', 'd'])
  })

  test('is let go by the signal, also while waiting', async () => {
    const auth = await openAuth()
    const {iterator, next, stop} = await watch(auth)
    await next()
    const waiting = iterator.next()
    stop.abort()
    expect(await waiting).toEqual({done: true, value: undefined})
  })
})
