import fc from 'fast-check'
import {describe, expect, test} from 'vitest'
import type {LockKind} from '../../../../src/lib/access/index.js'
import type {AccessExplanation, NodeResource, RoleResource} from '../../../../src/lib/auth/index.js'
import {type Auth, failure, openAuth, signUp, userCaller} from '../fixture.js'

const role = (name: string, spec: RoleResource['spec']): RoleResource => ({
  kind: 'role',
  version: 'v1',
  metadata: {name},
  spec,
})
const hostId = '11111111-0000-4000-8000-000000000000'
const node = (labels: Record<string, string>): NodeResource => ({
  ...{kind: 'node', sub_kind: 'openssh', version: 'v1', metadata: {name: hostId, labels}},
  spec: {hostname: 'db1', addr: '10.0.0.1:22'},
})
const everywhere = {node_labels: {'*': '*'}}
const proxyOf = (auth: Auth) => auth.service.as({kind: 'system', role: 'proxy'})

describe('an explanation', () => {
  test('says that a second factor is asked for, and who has none', async () => {
    const auth = await openAuth({secondFactor: 'otp'})
    await auth.admin.createResources({
      resources: [
        role('mfa', {
          allow: {...everywhere, logins: ['root']},
          options: {require_session_mfa: true, pin_source_ip: true},
        }),
      ],
    })
    await signUp(auth, 'joe', {roles: ['mfa'], logins: ['root']})
    const ask = () => auth.admin.explainAccess({user: 'joe', login: 'root', host: 'db1'})
    expect((await ask()).decision).toMatchObject({
      ...{allowed: true, options: {requireSessionMfa: true, pinSourceIp: true}},
    })
    await auth.admin.resetUser({name: 'joe'})
    expect((await ask()).decision).toEqual({
      allowed: false,
      reason: expect.stringMatching(
        /^sessions of joe need a code of an authenticator app, and joe has none: /,
      ),
    })
  })

  test('gives the decision, and what each role said to it', async () => {
    const auth = await openAuth()
    await auth.admin.createResources({
      resources: [
        role('dev', {allow: {...everywhere, logins: ['ubuntu']}}),
        role('prod', {allow: {logins: ['root'], node_labels: {env: 'prod'}}}),
        role('gone', {}),
      ],
    })
    await signUp(auth, 'joe', {roles: ['dev', 'prod', 'gone'], logins: ['ubuntu', 'root']})
    await auth.admin.removeRole({name: 'gone', force: true})
    expect(await auth.admin.explainAccess({user: 'JOE', login: 'root', host: 'DB1.'})).toEqual({
      ...{user: 'joe', login: 'root', host: 'db1'},
      decision: {
        allowed: false,
        reason: 'no role of joe that allows db1 (dev) allows the login root',
      },
      carriesLogin: true,
      roles: [
        {role: 'dev', denies: {login: false, host: false}, allows: {login: false, host: true}},
        {role: 'prod', denies: {login: false, host: false}, allows: {login: true, host: false}},
      ],
      missingRoles: ['gone'],
    })
  })

  test('shows the labels of the host that a name, an address or a UUID stands for', async () => {
    const auth = await openAuth()
    await auth.admin.createResources({
      resources: [role('prod', {allow: {logins: ['root'], node_labels: {env: 'prod'}}}), node({env: 'prod'})],
    })
    await signUp(auth, 'joe', {roles: ['prod'], logins: ['root']})
    for (const host of ['db1', 'DB1.', hostId, '10.0.0.1'])
      expect(await auth.admin.explainAccess({user: 'joe', login: 'root', host})).toMatchObject({
        ...{decision: {allowed: true}, hostId, hostname: 'db1', labels: {env: 'prod'}},
        roles: [{allows: {host: true}}],
      })
    const other = await auth.admin.explainAccess({user: 'joe', login: 'root', host: 'db2'})
    expect(other).toMatchObject({decision: {allowed: false}})
    expect(other).not.toHaveProperty('labels')
  })

  test('tells users nothing of a host that they may not reach', async () => {
    const auth = await openAuth()
    await auth.admin.createResources({
      resources: [
        role('prod', {allow: {logins: ['root'], node_labels: {env: 'prod'}}}),
        role('not-test', {deny: {node_labels: {env: 'test'}}}),
        node({env: 'test'}),
      ],
    })
    await signUp(auth, 'joe', {roles: ['prod']})
    await signUp(auth, 'ann', {roles: ['access', 'not-test']})
    const ask = (name: string, roles: string[], host: string) =>
      auth.service.as(userCaller(name, roles)).explainAccess({user: name, login: 'root', host})
    const [hidden, absent] = [await ask('joe', ['prod'], 'db1'), await ask('joe', ['prod'], 'db2')]
    expect(JSON.parse(JSON.stringify(hidden).replaceAll('db1', 'db2'))).toEqual(absent)
    const denied = await ask('ann', ['access', 'not-test'], 'db1')
    expect(denied).toMatchObject({decision: {allowed: false}})
    expect(JSON.stringify(denied)).not.toContain('env')
    const unknown = '99999999-0000-4000-8000-000000000000'
    for (const host of [hostId, unknown])
      expect((await failure(ask('joe', ['prod'], host))).code).toBe('host_not_found')
  })

  test('names the lock', async () => {
    const auth = await openAuth()
    await signUp(auth)
    const lock = await auth.admin.createLock({kind: 'node', name: 'db1', message: 'rebuild'})
    expect(await auth.admin.explainAccess({user: 'joe', login: 'root', host: 'db1'})).toMatchObject({
      decision: {allowed: false, reason: 'the node db1 is locked: rebuild'},
      lock,
    })
  })

  test('is for users about themselves, and about others for who may read roles', async () => {
    const auth = await openAuth()
    await signUp(auth)
    await signUp(auth, 'ed', {roles: ['editor']})
    const about = (user: string) => ({user, login: 'root', host: 'db1'})
    const joe = auth.service.as(userCaller('joe'))
    expect((await joe.explainAccess(about('joe'))).decision.allowed).toBe(true)
    expect((await failure(joe.explainAccess(about('ed')))).code).toBe('access_denied')
    const ed = auth.service.as(userCaller('ed', ['editor']))
    expect((await ed.explainAccess(about('joe'))).decision.allowed).toBe(true)
    expect((await failure(ed.explainAccess(about('nobody')))).code).toBe('not_found')
    expect((await failure(ed.explainAccess({...about('joe'), host: 'a b'}))).code).toBe('invalid_input')
  })
})

/** The rule of the guide, said a second time: what an explanation shows has to lead to its decision. */
const follows = ({lock, carriesLogin, roles}: AccessExplanation): boolean =>
  !lock &&
  carriesLogin &&
  !roles.some(({denies}) => denies.login || denies.host) &&
  roles.some(({allows}) => allows.login && allows.host)

test('whatever the roles, users and locks are, explanation and enforcement are the same', async () => {
  const auth = await openAuth({secondFactor: 'otp'})
  await signUp(auth)
  await signUp(auth, 'ann')
  // Takes the authenticator away.
  await auth.admin.resetUser({name: 'ann'})
  const login = fc.constantFrom('root', 'joe', 'ubuntu')
  const everywhere = {weight: 4, arbitrary: fc.constant<Record<string, string>>({'*': '*'})}
  const somewhere = fc.constantFrom<Record<string, string>>(
    {},
    {env: 'prod'},
    {env: 'p*'},
    {env: 'p*', team: 'db'},
  )
  const labels = fc.oneof(everywhere, {weight: 4, arbitrary: somewhere})
  const conditions = fc.record({
    logins: fc.uniqueArray(fc.oneof(login, fc.constant('{{internal.logins}}')), {
      maxLength: 3,
    }),
    node_labels: labels,
  })
  const denied = fc.oneof(
    {weight: 8, arbitrary: fc.constant({})},
    {weight: 1, arbitrary: fc.record({logins: fc.array(login, {maxLength: 1})})},
    {weight: 1, arbitrary: fc.record({node_labels: labels})},
  )
  const spec = fc.record({
    allow: conditions,
    deny: denied,
    options: fc.record(
      {
        forward_agent: fc.boolean(),
        max_sessions: fc.nat({max: 3}),
        require_session_mfa: fc.boolean(),
        pin_source_ip: fc.boolean(),
      },
      {requiredKeys: []},
    ),
  })
  const world = fc.record({
    user: fc.constantFrom('joe', 'ann'),
    specs: fc.tuple(spec, spec),
    missing: fc.boolean(),
    logins: fc.uniqueArray(login, {minLength: 1, maxLength: 3}),
    lock: fc.oneof(
      {weight: 3, arbitrary: fc.constant(undefined)},
      {
        weight: 2,
        arbitrary: fc.constantFrom<[LockKind, string]>(
          ['user', 'Joe'],
          ['role', 'r1'],
          ['login', 'root'],
          ['node', 'db1'],
          ['user', 'ann'],
          ['node', 'db2'],
        ),
      },
    ),
    login,
    /** Of the host in the inventory; it may not be in it. */
    host: fc.option(
      fc.constantFrom<Record<string, string>>({}, {env: 'prod'}, {env: 'prod', team: 'db'}, {env: 'test'}),
      {nil: undefined},
    ),
    asked: fc.constantFrom('db1', hostId),
  })
  const seen = {allowed: 0, refused: 0, byLabel: 0, asked: 0, unenrolled: 0, pinned: 0}
  await fc.assert(
    fc.asyncProperty(world, async ({user, specs, missing, logins, lock, login, host: registered, asked}) => {
      if (registered) await auth.admin.createResources({resources: [node(registered)], force: true})
      const host = registered ? asked : 'db1'
      const resources = specs.map((one, index) => role(`r${index}`, one))
      await auth.admin.createResources({resources: [...resources, role('r2', {})], force: true})
      await auth.admin.updateUser({name: user, logins, roles: missing ? ['r0', 'r1', 'r2'] : ['r0', 'r1']})
      if (missing) await auth.admin.removeRole({name: 'r2', force: true})
      const made = lock && (await auth.admin.createLock({kind: lock[0], name: lock[1]}))
      const roles = missing ? ['r0', 'r1', 'r2'] : ['r0', 'r1']
      const identity = {user, roles, logins, validBefore: 0}
      const enforced = await proxyOf(auth).decide({identity, login, host, ...(registered && {hostId})})
      const explained = await auth.admin.explainAccess({user, login, host})
      if (registered) await auth.admin.removeHost(hostId)
      expect(explained.labels).toEqual(registered)
      if (enforced.allowed && specs.some(({allow}) => 'env' in allow.node_labels)) seen.byLabel++
      if (made) await auth.admin.removeLock(made.id)
      expect(explained.decision).toEqual(enforced)
      const wants = (option: 'require_session_mfa' | 'pin_source_ip') =>
        specs.some(({options}) => options[option] === true)
      const unenrolled = wants('require_session_mfa') && user === 'ann'
      expect(follows(explained) && !unenrolled).toBe(enforced.allowed)
      if (follows(explained) && unenrolled) seen.unenrolled++
      if (enforced.allowed) {
        expect(enforced.options).toMatchObject({
          requireSessionMfa: wants('require_session_mfa'),
          pinSourceIp: wants('pin_source_ip'),
        })
        if (enforced.options.requireSessionMfa) seen.asked++
        if (enforced.options.pinSourceIp) seen.pinned++
      }
      expect(explained.missingRoles).toEqual(missing ? ['r2'] : [])
      seen[enforced.allowed ? 'allowed' : 'refused']++
    }),
    {numRuns: 250},
  )
  // Each comes up in one world of twenty and more: that one is never seen is no matter of luck.
  expect(Object.entries(seen).filter(([, count]) => count === 0)).toEqual([])
}, 60_000)
