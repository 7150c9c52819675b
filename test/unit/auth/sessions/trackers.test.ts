import {describe, expect, test} from 'vitest'
import type {AuthApi, SessionTracker} from '../../../../src/lib/auth/contract.js'
import {createMachineKey} from '../../../../src/lib/auth/join/client.js'
import {type Auth, failure, minute, openAuth, signUp, userCaller} from '../fixture.js'

const sid = '11111111-2222-4333-8444-555555555555'

const tracker = (changes: Partial<SessionTracker> = {}): SessionTracker => ({
  ...{sid, kind: 'ssh', state: 'running', user: 'joe', roles: ['access'], login: 'root', host: 'db1'},
  ...{
    address: '192.0.2.1:22',
    interactive: true,
    started: 1000,
    participants: [],
    heldBy: 'proxy-1',
    holder: 'p1',
  },
  ...changes,
})

const role = (name: string, allow: object, deny?: object) => ({
  ...{kind: 'role', version: 'v1', metadata: {name}},
  spec: {allow, ...(deny && {deny})},
})

/** joe has a session; ann is an auditor, mod moderates, bob may nothing, eve is forbidden. */
async function cluster(): Promise<Auth & {proxy: AuthApi; as(name: string): AuthApi}> {
  const auth = await openAuth()
  const joining = (mode: string) => [{name: 'one', roles: ['acc*'], modes: [mode]}]
  await auth.admin.createResources({
    resources: [
      role('moderates', {join_sessions: joining('moderator')}),
      role('never', {join_sessions: joining('peer')}, {join_sessions: joining('peer')}),
    ] as never,
  })
  const roles: Record<string, string[]> = {
    ...{joe: ['access'], ann: ['auditor'], mod: ['moderates'], bob: ['editor'], eve: ['never']},
  }
  for (const [name, names] of Object.entries(roles)) await signUp(auth, name, {roles: names})
  const proxy = auth.service.as({kind: 'system', role: 'proxy', hostId: 'proxy-1'})
  return {
    ...auth,
    proxy,
    as: name => auth.service.as(userCaller(name, roles[name] ?? [])),
  }
}

const identity = (user: string, roles: string[]) => ({user, roles, logins: ['root'], validBefore: 0})

describe('a session that runs', () => {
  test('is listed to its user, to who may join it, to who may list sessions, and to nobody else', async () => {
    const {proxy, admin, as} = await cluster()
    await proxy.upsertTracker(tracker())
    for (const api of [admin, as('joe'), as('ann'), as('mod')])
      expect(await api.listTrackers()).toEqual([tracker()])
    for (const api of [as('bob'), as('eve')]) expect(await api.listTrackers()).toEqual([])
  })

  test('is what was said of it last, until it is over or nobody speaks of it for half an hour', async () => {
    const {proxy, admin, clock} = await cluster()
    await proxy.upsertTracker(tracker({state: 'pending', waitsFor: '1 moderator', command: 'top'}))
    await proxy.upsertTracker(tracker({started: 2000}))
    expect(await admin.listTrackers()).toEqual([tracker({started: 2000})])
    clock.now += 20 * minute
    await proxy.upsertTracker(tracker())
    clock.now += 20 * minute
    expect(await admin.listTrackers()).toEqual([tracker()])
    clock.now += 10 * minute
    expect(await admin.listTrackers()).toEqual([])
    await proxy.upsertTracker(tracker())
    await proxy.removeTracker(sid)
    await proxy.removeTracker(sid)
    expect(await admin.listTrackers()).toEqual([])
  })

  test('that a node claims first is that of the proxy in front of it all the same', async () => {
    const auth = await openAuth()
    const [nodeId, proxyId] = [sid.replace('1', '6'), sid.replace('1', '7')]
    const join = async (hostId: string, role: 'node' | 'proxy') => {
      const {token} = await auth.admin.createToken({roles: [role]})
      const {publicKey} = createMachineKey()
      await auth.anonymous.join({token, hostId, nodename: role, roles: [role], publicKey})
      return auth.service.as({kind: 'system', role, hostId, address: '192.0.2.8:4000'})
    }
    const [node, proxy] = [await join(nodeId, 'node'), await join(proxyId, 'proxy')]
    await node.upsertTracker(tracker({heldBy: nodeId, user: 'nobody', host: 'db1', hostId: proxyId}))
    // What a node says of where its sessions are is nothing that the cluster does not know.
    expect(await auth.admin.listTrackers()).toMatchObject([{host: 'node', hostId: nodeId, holder: 'node'}])
    await proxy.upsertTracker(tracker({heldBy: proxyId}))
    expect(await auth.admin.listTrackers()).toEqual([tracker({heldBy: proxyId})])
    const again = failure(node.upsertTracker(tracker({heldBy: nodeId, user: 'nobody'})))
    expect((await again).code).toBe('access_denied')
  })

  test('of another machine is nothing that a machine may speak of', async () => {
    const {proxy, service, admin} = await cluster()
    const node = service.as({kind: 'system', role: 'node', hostId: 'node-1', address: '192.0.2.9:5'})
    await proxy.upsertTracker(tracker())
    expect((await failure(node.upsertTracker(tracker()))).code).toBe('access_denied')
    expect((await failure(node.upsertTracker(tracker({heldBy: 'node-1'})))).code).toBe('access_denied')
    expect((await failure(node.removeTracker(sid))).code).toBe('access_denied')
    expect((await failure(node.dropTrackers('proxy-1'))).code).toBe('access_denied')
    expect(await admin.listTrackers()).toEqual([tracker()])
  })

  test('is dropped when whoever held it begins anew', async () => {
    const {proxy, admin} = await cluster()
    const other = tracker({sid: sid.replace('1', '2'), heldBy: 'proxy-2'})
    await proxy.upsertTracker(tracker())
    await proxy.upsertTracker(other)
    await proxy.dropTrackers('proxy-1')
    expect(await admin.listTrackers()).toEqual([other])
  })

  test.each([{sid: '../users/joe'}, {user: 'x'.repeat(2000)}, {state: 'gone' as never}, {extra: 1} as never])(
    'is refused where what is said of it is no tracker: %j',
    async changes => {
      const {proxy, admin} = await cluster()
      expect((await failure(proxy.upsertTracker(tracker(changes)))).code).toBe('invalid_input')
      expect(await admin.listTrackers()).toEqual([])
    },
  )
})

describe('joining', () => {
  test('is permitted by role and mode, with what the user still has', async () => {
    const {proxy} = await cluster()
    await proxy.upsertTracker(tracker())
    const ask = (user: string, roles: string[], mode: 'observer' | 'moderator' | 'peer') =>
      proxy.permitJoin({identity: identity(user, roles), sid, mode})
    expect(await ask('ann', ['auditor', 'access'], 'observer')).toEqual({
      ...{tracker: tracker(), user: 'ann', roles: ['auditor']},
    })
    for (const mode of ['observer', 'moderator', 'peer'] as const)
      expect((await ask('joe', ['access'], mode)).user).toBe('joe')
    expect(await failure(ask('ann', ['auditor'], 'peer'))).toMatchObject({
      ...{code: 'access_denied', hint: 'they do as observer'},
    })
  })

  test('is over with the certificate, where that ends connections', async () => {
    const {proxy, admin} = await cluster()
    await admin.createResources({
      resources: [{...role('brief', {}), spec: {options: {disconnect_expired_cert: true}}}] as never,
    })
    await admin.updateUser({name: 'joe', roles: ['access', 'brief']})
    await proxy.upsertTracker(tracker())
    const identity = {user: 'joe', roles: ['access', 'brief'], logins: ['root'], validBefore: 2000}
    expect((await proxy.permitJoin({identity, sid, mode: 'peer'})).until).toBe(2_000_000)
  })

  test('says what has to be shown first, and refuses who cannot show it', async () => {
    const {proxy, admin, backend} = await cluster()
    const options = {require_session_mfa: true, pin_source_ip: true}
    await admin.createResources({resources: [{...role('careful', {}), spec: {options}}] as never})
    await admin.updateUser({name: 'joe', roles: ['access', 'careful']})
    await proxy.upsertTracker(tracker())
    const ask = () => proxy.permitJoin({identity: identity('joe', ['access']), sid, mode: 'peer'})
    expect((await failure(ask())).message).toMatch(/need a code of an authenticator app, and joe has none/)
    const stored = await backend.get('users/joe')
    const user = JSON.parse(stored?.value.toString('utf8') ?? '{}') as object
    await backend.put('users/joe', Buffer.from(JSON.stringify({...user, otpSecret: 'JBSWY3DPEHPK3PXP'})))
    expect(await ask()).toMatchObject({secondFactor: true, pinSourceIp: true})
  })

  test('tells who may not see a session that there is none, and puts that on record', async () => {
    const {proxy, events} = await cluster()
    await proxy.upsertTracker(tracker())
    const refusals = await Promise.all(
      ['bob', 'eve'].map(user => {
        const roles = user === 'bob' ? ['editor'] : ['never']
        return failure(proxy.permitJoin({identity: identity(user, roles), sid, mode: 'peer'}))
      }),
    )
    await proxy.removeTracker(sid)
    const none = await failure(proxy.permitJoin({identity: identity('joe', ['access']), sid, mode: 'peer'}))
    expect(none.code).toBe('not_found')
    for (const refusal of refusals) expect(refusal.message).toBe(none.message)
    expect(await events('session.join')).toMatchObject([
      {code: 'T2001W', success: false, user: 'joe', sid},
      {code: 'T2001W', success: false, user: 'eve', sid, server_hostname: 'db1', owner: 'joe', mode: 'peer'},
      {code: 'T2001W', success: false, user: 'bob', sid},
    ])
  })

  test('is over with the role or the user, whatever the certificate says', async () => {
    const {proxy, admin} = await cluster()
    await proxy.upsertTracker(tracker())
    const ask = () => proxy.permitJoin({identity: identity('mod', ['moderates']), sid, mode: 'moderator'})
    expect((await ask()).roles).toEqual(['moderates'])
    await admin.updateUser({name: 'mod', roles: ['editor']})
    expect((await failure(ask())).code).toBe('not_found')
    await admin.removeUser('mod')
    expect((await failure(ask())).code).toBe('access_denied')
  })
})

describe('the end of a session', () => {
  test('is ordered by an administrator, a moderator or its user, and reaches whoever holds it', async () => {
    const {proxy, admin, as} = await cluster()
    await proxy.upsertTracker(tracker())
    const stop = new AbortController()
    const endings = (await proxy.watchEndings({signal: stop.signal}))[Symbol.asyncIterator]()
    expect((await endings.next()).value).toEqual([])
    await admin.endSession({sid, reason: 'maintenance'})
    expect((await endings.next()).value).toEqual([{sid, by: 'admin', reason: 'maintenance'}])
    await as('mod').endSession({sid})
    expect((await endings.next()).value).toEqual([{sid, by: 'mod'}])
    await as('joe').endSession({sid})
    expect((await endings.next()).value).toEqual([{sid, by: 'joe'}])
    await proxy.removeTracker(sid)
    expect((await endings.next()).value).toEqual([])
    stop.abort()
    expect((await endings.next()).done).toBe(true)
  })

  test('is not for who only looks on, or may not see it', async () => {
    const {proxy, as, admin, events} = await cluster()
    await proxy.upsertTracker(tracker())
    expect((await failure(as('ann').endSession({sid}))).code).toBe('access_denied')
    expect((await failure(as('eve').endSession({sid}))).code).toBe('not_found')
    expect((await failure(admin.endSession({sid: 'no-such'}))).code).toBe('not_found')
    expect((await failure(admin.endSession({sid, reason: 'a\nb'}))).code).toBe('invalid_input')
    expect((await events('session.terminate')).toReversed()).toMatchObject([
      {success: false, user: 'ann', sid, owner: 'joe', error: 'ann may not end sessions of joe'},
      {success: false, user: 'eve', sid, owner: 'joe', error: 'eve may not know of sessions of joe'},
      {success: false, sid: 'no-such', by: 'admin', error: 'no such session runs'},
    ])
  })

  test('is on record with who ordered it, also where the session was over by then', async () => {
    const {proxy, admin, as, events} = await cluster()
    await proxy.upsertTracker(tracker())
    await admin.endSession({sid, reason: 'maintenance'})
    await proxy.removeTracker(sid)
    expect((await failure(as('mod').endSession({sid, reason: 'too late'}))).code).toBe('not_found')
    expect((await events('session.terminate')).toReversed()).toMatchObject([
      {success: true, code: 'TSE00I', sid, by: 'admin', reason: 'maintenance', owner: 'joe'},
      {success: false, code: 'TSE00W', sid, user: 'mod', reason: 'too late', error: 'no such session runs'},
    ])
  })
})
