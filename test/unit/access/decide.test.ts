import {describe, expect, test} from 'vitest'
import {
  decide,
  type Lock,
  maxTtlSeconds,
  mayUse,
  mergeOptions,
  presetRoles,
  type Role,
  restrictionsOf,
} from '../../../src/lib/access/index.js'

interface RoleParts {
  logins?: string[]
  labels?: Record<string, string[]>
  denyLogins?: string[]
  denyLabels?: Record<string, string[]>
  options?: Role['options']
}

const role = (name: string, parts: RoleParts): Role => ({
  name,
  allow: {logins: parts.logins ?? [], nodeLabels: parts.labels ?? {}, rules: []},
  deny: {logins: parts.denyLogins ?? [], nodeLabels: parts.denyLabels ?? {}, rules: []},
  options: parts.options ?? {},
})

const everywhere = {'*': ['*']}
const production = {env: ['production']}
const cluster = {clientIdleTimeoutSeconds: 0, disconnectExpiredCert: false}

interface Asked {
  login?: string
  labels?: Record<string, string>
  logins?: string[]
}

const ask = (roles: Role[], {login = 'root', labels, logins = ['root', 'joe']}: Asked = {}) => {
  const identity = {user: 'joe', roles: roles.map(({name}) => name), logins, validBefore: 0}
  return decide(roles, {identity, login, host: 'db1', ...(labels ? {labels} : {})}, cluster, [])
}

describe('a login is allowed', () => {
  test.each([
    ['by name on any host', [role('a', {logins: ['root'], labels: everywhere})], {}],
    ['by template', [role('a', {logins: ['{{internal.logins}}'], labels: everywhere})], {login: 'joe'}],
    [
      'on a host with the label',
      [role('a', {logins: ['root'], labels: production})],
      {labels: {env: 'production', extra: 'x'}},
    ],
    [
      'by one of several roles',
      [role('a', {logins: ['joe'], labels: everywhere}), role('b', {logins: ['root'], labels: production})],
      {labels: {env: 'production'}},
    ],
    [
      'where another role denies another login',
      [role('a', {logins: ['root'], labels: everywhere}), role('b', {denyLogins: ['joe']})],
      {},
    ],
  ] satisfies [string, Role[], Asked][])('%s', (_, roles, request) => {
    expect(ask(roles, request)).toMatchObject({allowed: true})
  })
})

describe('a login is refused, with the reason', () => {
  test.each([
    ['without a role', [], {}, 'joe has no role that exists'],
    [
      'that the certificate does not carry, whatever the roles say',
      [role('a', {logins: ['root'], labels: everywhere})],
      {logins: ['joe']},
      'the certificate of joe is not for the login root',
    ],
    [
      'that is another only in case or by a blank',
      [role('a', {logins: ['{{internal.logins}}'], labels: everywhere})],
      {login: 'Root'},
      'not for the login Root',
    ],
    [
      'when login and label are in different roles',
      [
        role('a', {logins: ['root'], labels: {env: ['test']}}),
        role('b', {logins: ['joe'], labels: production}),
      ],
      {labels: {env: 'production'}},
      'no role of joe that allows db1 (b) allows the login root',
    ],
    [
      'on a host without labels, by a role that wants some',
      [role('a', {logins: ['root'], labels: production})],
      {},
      'no role of joe allows the host db1',
    ],
    [
      'by a role that names no labels at all',
      [role('a', {logins: ['root']})],
      {labels: {env: 'production'}},
      'no role of joe allows the host db1',
    ],
    [
      'when any role denies it',
      [role('a', {logins: ['root'], labels: everywhere}), role('no-root', {denyLogins: ['root']})],
      {},
      'role no-root denies root on db1',
    ],
    [
      'when any role denies the host',
      [role('a', {logins: ['root'], labels: everywhere}), role('no-prod', {denyLabels: production})],
      {labels: {env: 'production'}},
      'role no-prod denies root on db1',
    ],
    [
      'by a template of an unknown trait',
      [role('a', {logins: ['{{external.logins}}', '{{internal.constructor}}'], labels: everywhere})],
      {},
      'allows the login root',
    ],
    [
      'by * in place of a login',
      [role('a', {logins: ['*'], labels: everywhere})],
      {},
      'allows the login root',
    ],
  ] satisfies [string, Role[], Asked, string][])('%s', (_, roles, request, reason) => {
    const decision = ask(roles, request)
    expect(decision).toMatchObject({allowed: false, reason: expect.stringContaining(reason)})
    expect(decision).not.toHaveProperty('options')
  })
})

describe('options merge over all roles', () => {
  const merged = (...options: Role['options'][]) =>
    mergeOptions(
      options.map((one, index) => role(`r${index}`, {options: one})),
      cluster,
    )

  test('defaults where no role says anything', () => {
    expect(merged({})).toEqual({
      agentForwarding: false,
      portForwarding: true,
      pty: true,
      x11Forwarding: false,
      idleTimeoutSeconds: 0,
      disconnectExpiredCert: false,
      recordSession: 'best_effort',
      lock: 'best_effort',
      maxConnections: 0,
      maxSessions: 10,
      requireSessionMfa: false,
      pinSourceIp: false,
    })
  })

  test.each([
    ['agent forwarding: any role', [{forwardAgent: false}, {forwardAgent: true}], {agentForwarding: true}],
    ['port forwarding: off where all say so', [{portForwarding: false}], {portForwarding: false}],
    ['port forwarding: silence is consent', [{portForwarding: false}, {}], {portForwarding: true}],
    ['X11: any role', [{}, {permitX11Forwarding: true}], {x11Forwarding: true}],
    [
      'idle timeout: the shortest that is one',
      [{clientIdleTimeoutSeconds: 0}, {clientIdleTimeoutSeconds: 600}, {clientIdleTimeoutSeconds: 60}],
      {idleTimeoutSeconds: 60},
    ],
    [
      'sessions: the fewest that is a limit',
      [{maxSessions: 0}, {maxSessions: 3}, {maxSessions: 5}],
      {maxSessions: 3},
    ],
    ['sessions: 0 is no limit', [{maxSessions: 0}, {}], {maxSessions: 0}],
    [
      'connections: the fewest that is a limit',
      [{}, {maxConnections: 0}, {maxConnections: 5}, {maxConnections: 2}],
      {maxConnections: 2},
    ],
    [
      'second factor: any role',
      [{requireSessionMfa: false}, {requireSessionMfa: true}],
      {requireSessionMfa: true},
    ],
    ['pinning: any role', [{pinSourceIp: true}, {}], {pinSourceIp: true}],
    ['locks: the strictest', [{lock: 'best_effort'}, {lock: 'strict'}], {lock: 'strict'}],
    ['expiry: any role', [{disconnectExpiredCert: true}, {}], {disconnectExpiredCert: true}],
    [
      'recording: the strictest',
      [{recordSession: 'best_effort'}, {recordSession: 'strict'}],
      {recordSession: 'strict'},
    ],
  ] as const)('%s', (_, options, expected) => {
    expect(merged(...options)).toMatchObject(expected)
  })

  test('with what the cluster says, the stricter of both', () => {
    const strict = {clientIdleTimeoutSeconds: 300, disconnectExpiredCert: true}
    const roles = [role('a', {options: {clientIdleTimeoutSeconds: 900}})]
    expect(mergeOptions(roles, strict)).toMatchObject({idleTimeoutSeconds: 300, disconnectExpiredCert: true})
    expect(mergeOptions(roles, cluster)).toMatchObject({idleTimeoutSeconds: 900})
  })

  test('a certificate lives as long as the shortest limit of a role, and never over 30 hours', () => {
    const of = (...limits: (number | undefined)[]) =>
      maxTtlSeconds(
        limits.map(limit => role('a', {options: limit === undefined ? {} : {maxSessionTtlSeconds: limit}})),
      )
    expect([of(), of(undefined), of(3600, 7200), of(10 ** 9), of(0)]).toEqual([
      108_000, 108_000, 3600, 108_000, 108_000,
    ])
  })
})

describe('the preset role', () => {
  const preset = (name: string): Role => presetRoles[name] as Role
  const rights = (name: string) =>
    ['user', 'role', 'lock', 'session', 'event', 'cert_authority', 'host_cert'].flatMap(resource =>
      ['list', 'read', 'create', 'update', 'delete', 'sign']
        .filter(verb => mayUse([preset(name)], resource, verb))
        .map(verb => `${resource}:${verb}`),
    )

  test('access gives the own logins on every host, with agent forwarding, and no administration', () => {
    const decision = ask([preset('access')], {login: 'joe'})
    expect(decision).toMatchObject({allowed: true, options: {agentForwarding: true}})
    expect(rights('access')).toEqual([])
  })

  test('auditor reads sessions and events and logs in nowhere', () => {
    expect(rights('auditor')).toEqual(['session:list', 'session:read', 'event:list', 'event:read'])
    expect(ask([preset('auditor')])).toMatchObject({allowed: false})
  })

  test('editor keeps resources, signs nothing, sees no sessions and logs in nowhere', () => {
    expect(rights('editor').filter(right => /sign|session|event/.test(right))).toEqual([])
    expect(rights('editor')).toEqual(expect.arrayContaining(['user:create', 'role:update', 'lock:create']))
    expect(ask([preset('editor')])).toMatchObject({allowed: false})
  })
})

describe('a lock', () => {
  const lock = (kind: Lock['kind'], name: string, more: Partial<Lock> = {}): Lock => ({
    ...{id: 'l1', kind, name, created: 0, createdBy: 'admin'},
    ...more,
  })
  const locked = (...locks: Lock[]) =>
    decide(
      [role('dev', {logins: ['root'], labels: everywhere})],
      {
        identity: {user: 'Joe', roles: ['dev', 'gone'], logins: ['root', 'joe'], validBefore: 0},
        login: 'root',
        host: 'db1.example.com',
      },
      cluster,
      locks,
    )

  test.each([
    lock('user', 'joe'),
    lock('role', 'dev'),
    lock('role', 'gone'),
    lock('login', 'root'),
    lock('node', 'DB1.example.com'),
  ])('refuses what it is against: $kind $name', one => {
    expect(locked(lock('user', 'ann'), one)).toEqual({
      allowed: false,
      reason: `the ${one.kind} ${one.name} is locked`,
    })
  })

  test.each([lock('user', 'jo'), lock('role', 'Dev'), lock('login', 'joe'), lock('node', 'db1')])(
    'leaves others alone: $kind $name',
    one => expect(locked(one)).toMatchObject({allowed: true}),
  )

  test('says until when, and why', () => {
    const one = lock('user', 'joe', {message: 'laptop stolen', expires: Date.UTC(2030, 0, 1)})
    expect(locked(one)).toMatchObject({
      reason: 'the user joe is locked until 2030-01-01T00:00:00.000Z: laptop stolen',
    })
  })
})

test('a role that the certificate does not name yet denies and limits, and gives nothing', () => {
  const given = role('new', {
    logins: ['root'],
    labels: everywhere,
    denyLogins: ['joe'],
    options: {forwardAgent: true, maxSessions: 0, maxConnections: 1, portForwarding: true},
  })
  const old = role('old', {logins: ['joe', 'admin'], labels: everywhere, options: {portForwarding: false}})
  const asked = {logins: ['root', 'joe', 'admin']}
  const roles = [old, restrictionsOf(given)]
  expect(ask(roles, {login: 'root', ...asked})).toMatchObject({allowed: false})
  expect(ask(roles, {login: 'joe', ...asked})).toMatchObject({allowed: false})
  expect(ask(roles, {login: 'admin', ...asked})).toMatchObject({
    allowed: true,
    options: {agentForwarding: false, portForwarding: false, maxConnections: 1, maxSessions: 10},
  })
})

test('a right that one role denies is not given by another', () => {
  const rule = {resources: ['*'], verbs: ['*']}
  const all = role('all', {})
  const none = role('none', {})
  const allowing = {...all, allow: {...all.allow, rules: [rule]}}
  const denying = {...none, deny: {...none.deny, rules: [{resources: ['user'], verbs: ['delete']}]}}
  expect(mayUse([allowing], 'user', 'delete')).toBe(true)
  expect(mayUse([allowing, denying], 'user', 'delete')).toBe(false)
  expect(mayUse([allowing, denying], 'user', 'create')).toBe(true)
})
