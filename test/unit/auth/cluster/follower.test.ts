import {afterEach, describe, expect, test} from 'vitest'
import {routeCurrent} from '../../../../src/lib/auth/access/current-route.js'
import {decideCurrent} from '../../../../src/lib/auth/access/current-user.js'
import {blindMilliseconds, followCluster} from '../../../../src/lib/auth/cluster/follower.js'
import {accessStateOf} from '../../../../src/lib/auth/cluster/state.js'
import {withoutAuth} from '../../../../src/lib/auth/cluster/without-auth.js'
import {fromWire, toWire} from '../../../../src/lib/auth/http/wire.js'
import type {AuthApi, Caller, SystemApi} from '../../../../src/lib/auth/index.js'
import {problem} from '../../../../src/lib/errors/index.js'
import {eventually} from '../../../support/eventually.js'
import {type Auth, failure, hour, openAuth, signUp} from '../fixture.js'

const hostId = '6f4c1a56-1f0e-4a8e-9a35-0d9c1c0d7c11'
const proxyCaller: Caller = {kind: 'system', role: 'proxy', hostId, address: '192.0.2.1:1'}
const log = {info: () => undefined, warn: () => undefined}
const identity = (roles = ['access'], logins = ['joe', 'root']) => ({
  ...{user: 'joe', roles, logins},
  validBefore: 4_000_000_000,
})

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

/** A role's API whose auth service can be taken away. */
function severable(api: AuthApi): {api: SystemApi; cut(): void; mend(): void; calls: string[]} {
  let isCut = false
  const cuts = new Set<() => void>()
  const calls: string[] = []
  const away = () => problem('unavailable', 'the connection to the auth service was lost')
  const wrapped = Object.fromEntries(
    Object.entries(api).map(([name, method]) => [
      name,
      async (...parameters: unknown[]) => {
        calls.push(name)
        if (isCut) throw away()
        return (method as (...values: unknown[]) => Promise<unknown>)(...parameters)
      },
    ]),
  ) as unknown as SystemApi
  const watchCluster: SystemApi['watchCluster'] = async ({signal}) => {
    if (isCut) throw away()
    const end = new AbortController()
    cuts.add(() => end.abort())
    const states = await api.watchCluster({signal: AbortSignal.any([signal, end.signal])})
    return (async function* () {
      yield* states
      if (isCut) throw away()
    })()
  }
  return {
    api: {...wrapped, watchCluster},
    calls,
    cut() {
      isCut = true
      for (const cut of cuts) cut()
    },
    mend() {
      isCut = false
    },
  }
}

async function ready() {
  const auth = await openAuth()
  await signUp(auth)
  const line = severable(auth.service.as(proxyCaller))
  const follower = await followCluster({api: line.api, log, now: () => auth.clock.now})
  closing.push(follower.close)
  const api = withoutAuth(line.api, follower, proxyCaller)
  const untilAway = async (): Promise<void> => {
    line.cut()
    await eventually(() => !follower.isInTouch())
  }
  return {auth, line, follower, api, untilAway}
}

describe('while the auth service is away', () => {
  test('certificates that were good are good, and others are not', async () => {
    const {api, line, untilAway} = await ready()
    const authorities = await api.trustedAuthorities()
    await untilAway()
    line.calls.length = 0
    expect(await api.decide({identity: identity(), login: 'root', host: 'db1'})).toMatchObject({
      allowed: true,
      reason: expect.stringContaining('as known before the auth service went away'),
    })
    expect(await api.decide({identity: identity(), login: 'admin', host: 'db1'})).toMatchObject({
      allowed: false,
    })
    expect(
      await api.decide({identity: {...identity(), user: 'ann'}, login: 'root', host: 'db1'}),
    ).toMatchObject({allowed: false})
    expect(await api.trustedAuthorities()).toEqual(authorities)
    expect(await api.routeHost({identity: identity(), host: 'db1', port: 22})).toEqual({kind: 'none'})
    // Nobody waited for it either.
    expect(line.calls).toEqual([])
    await expect(
      api.issueProxyHostCertificate({principals: ['db1'], publicKey: Buffer.alloc(0)}),
    ).rejects.toThrow()
  })

  test('a second factor is still wanted, and nobody can say whether it is right', async () => {
    const {auth, api, follower, untilAway} = await ready()
    const resource = {
      ...({kind: 'role', version: 'v1', metadata: {name: 'mfa'}} as const),
      spec: {options: {require_session_mfa: true, pin_source_ip: true}},
    } as const
    await auth.admin.createResources({resources: [resource]})
    await auth.admin.updateUser({name: 'joe', roles: ['access', 'mfa']})
    await eventually(() => follower.state().roles.length > 0)
    await eventually(() => follower.state().users[0]?.roles.includes('mfa'))
    await untilAway()
    expect(await api.decide({identity: identity(), login: 'root', host: 'db1'})).toMatchObject({
      options: {requireSessionMfa: true, pinSourceIp: true},
    })
    const check = api.checkSessionMfa({user: 'joe', code: '123456', address: '192.0.2.9:5000'})
    expect((await failure(check)).code).toBe('unavailable')
  })

  test('what was taken away before counts', async () => {
    const {auth, api, follower, untilAway} = await ready()
    await auth.admin.createLock({kind: 'login', name: 'root'})
    await eventually(() => follower.state().locks.length > 0)
    await untilAway()
    expect(await api.decide({identity: identity(), login: 'root', host: 'db1'})).toMatchObject({
      allowed: false,
    })
    expect(await api.decide({identity: identity(), login: 'joe', host: 'db1'})).toMatchObject({allowed: true})
  })

  test('it goes on for twelve hours and no longer', async () => {
    const {auth, api, untilAway} = await ready()
    await untilAway()
    auth.clock.now += blindMilliseconds - 1
    await api.decide({identity: identity(), login: 'root', host: 'db1'})
    auth.clock.now += 1
    const late = failure(api.decide({identity: identity(), login: 'root', host: 'db1'}))
    expect(await late).toMatchObject({code: 'unavailable', message: expect.stringContaining('too long')})
    auth.clock.now -= 3 * blindMilliseconds
    expect((await failure(api.trustedAuthorities())).code).toBe('unavailable')
  })

  test('it is asked again when it is back', async () => {
    const {auth, api, follower, line, untilAway} = await ready()
    await untilAway()
    await auth.admin.updateUser({name: 'joe', logins: ['joe']})
    expect(await api.decide({identity: identity(), login: 'root', host: 'db1'})).toMatchObject({
      allowed: true,
    })
    line.mend()
    await eventually(() => follower.isInTouch())
    const decision = await api.decide({identity: identity(), login: 'root', host: 'db1'})
    expect(decision).toMatchObject({allowed: false})
    expect(decision.reason).not.toContain('went away')
  })

  test('a refusal of its own is no reason to answer for it', async () => {
    const {api, follower} = await ready()
    expect(follower.isInTouch()).toBe(true)
    const refused = withoutAuth(
      {...api, decide: () => Promise.reject(problem('access_denied', 'this machine is locked'))},
      follower,
      proxyCaller,
    )
    const request = {identity: identity(), login: 'root', host: 'db1'}
    expect((await failure(refused.decide(request))).code).toBe('access_denied')
  })

  test('begins with what a process before it knew, for what is left of the twelve hours', async () => {
    const {auth, line, follower} = await ready()
    line.cut()
    const known = {state: follower.state(), age: 11 * hour}
    let monotonic = 5000
    const begun = await followCluster({
      ...{api: line.api, log, known},
      ...{now: () => auth.clock.now, monotonic: () => monotonic},
    })
    closing.push(begun.close)
    expect(begun.isInTouch()).toBe(false)
    const request = {identity: identity(), login: 'root', host: 'db1'}
    const api = withoutAuth(line.api, begun, proxyCaller)
    expect(await api.decide(request)).toMatchObject({allowed: true})
    expect(begun.age()).toBe(11 * hour)
    // A clock that is set back gives it no more.
    monotonic += hour - 1
    auth.clock.now -= 5
    expect(await api.decide(request)).toMatchObject({allowed: true})
    monotonic += 1
    expect((await failure(api.decide(request))).message).toContain('too long')
    line.mend()
    await eventually(() => begun.isInTouch())
    expect(begun.age()).toBe(0)
    expect(await api.decide(request)).toMatchObject({allowed: true})
  })

  test('a machine that it refuses goes by nothing', async () => {
    const {line, follower, api} = await ready()
    const states = line.api.watchCluster
    line.api.watchCluster = () => Promise.reject(problem('access_denied', 'the node far1 is locked'))
    line.cut()
    const request = {identity: identity(), login: 'root', host: 'db1'}
    await expect
      .poll(async () => (await failure(api.decide(request)))?.code, {timeout: 10_000})
      .toBe('access_denied')
    expect((await failure(api.trustedAuthorities())).message).toBe('the node far1 is locked')
    line.api.watchCluster = states
    line.mend()
    await eventually(() => follower.isInTouch())
    expect(await api.decide(request)).toMatchObject({allowed: true})
  })

  test('whoever never reached it says so', async () => {
    const auth = await openAuth()
    const line = severable(auth.service.as(proxyCaller))
    line.cut()
    const attempt = followCluster({api: line.api, log, now: Date.now})
    expect((await failure(attempt)).code).toBe('unavailable')
  })
})

test('what is decided elsewhere is what auth decides: from the same state the same answers', async () => {
  const auth: Auth = await openAuth()
  await signUp(auth)
  await auth.admin.createResources({
    resources: [
      role('dba', {allow: ['root'], labels: {env: 'prod'}}),
      role('careful', {deny: ['root'], labels: {}}),
      {
        ...{kind: 'node', sub_kind: 'openssh', version: 'v1'},
        metadata: {name: hostId.replace('6', '9'), labels: {env: 'test'}},
        spec: {hostname: 'ssh1', names: ['alias1'], addr: '10.0.0.9:22'},
      } as never,
    ],
  })
  await signUp(auth, 'Ann', {logins: ['ann', 'root'], roles: ['dba', 'access']})
  await auth.admin.updateUser({name: 'joe', roles: ['dba', 'careful']})
  const beat = (id: string, hostname: string, env: string) =>
    auth.service
      .as({kind: 'system', role: 'node', hostId: id})
      .heartbeat({id, hostname, subKind: 'node', labels: {env}, address: '10.0.0.1:22'})
  await beat(hostId, 'db1', 'prod')
  await beat(hostId.replace('6', '7'), 'db1', 'test')
  await beat(hostId.replace('6', '8'), 'web1', 'test')
  await auth.admin.createLock({kind: 'login', name: 'ann', ttlSeconds: 3600})

  const proxy = auth.service.as(proxyCaller)
  const stop = new AbortController()
  const states = (await proxy.watchCluster({signal: stop.signal}))[Symbol.asyncIterator]()
  const {value} = await states.next()
  stop.abort()
  // As it travels.
  const state = accessStateOf(fromWire(toWire(value)) as NonNullable<typeof value>, () => auth.clock.now)
  const allowed = new Set<boolean>()
  for (const user of ['joe', 'ann', 'ANN', 'nobody'])
    for (const roles of [['access'], ['dba'], ['dba', 'access'], []])
      for (const login of ['root', 'ann', 'joe'])
        for (const [host, id] of [
          ['db1', hostId],
          ['web1', hostId.replace('6', '8')],
          ['alias1', hostId.replace('6', '9')],
          ['elsewhere', undefined],
        ] as const) {
          const request = {
            ...{identity: {...identity(roles, [login]), user}, login, host},
            ...(id !== undefined && {hostId: id}),
          }
          const theirs = await proxy.decide(request)
          allowed.add(theirs.allowed)
          expect(await decideCurrent(state, request, proxyCaller)).toEqual(theirs)
          const way = {identity: request.identity, host, port: 22, addresses: ['10.0.0.1']}
          const route = await proxy.routeHost(way)
          expect(kindAndHosts(await routeCurrent(state, way))).toEqual(kindAndHosts(route))
        }
  expect(allowed.size).toBe(2)
  auth.clock.now += 2 * hour
  expect(await state.locks.list()).toEqual([])
})

/** A route without what heartbeats change. */
const kindAndHosts = (route: Awaited<ReturnType<SystemApi['routeHost']>>) => [
  route.kind,
  ...('host' in route ? [route.host.id] : []),
  ...('hosts' in route ? route.hosts.map(({id}) => id) : []),
]

const role = (
  name: string,
  {allow = [], deny = [], labels}: {allow?: string[]; deny?: string[]; labels: Record<string, string>},
) =>
  ({
    ...{kind: 'role', version: 'v1', metadata: {name}},
    spec: {allow: {logins: allow, node_labels: labels}, deny: {logins: deny}, options: {}},
  }) as never
