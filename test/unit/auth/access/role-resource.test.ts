import fc from 'fast-check'
import {describe, expect, test} from 'vitest'
import {stringify} from 'yaml'
import {presetRoles, type Role} from '../../../../src/lib/access/index.js'
import {roleResource} from '../../../../src/lib/auth/access/role-resource.js'
import {parseResources, readResource} from '../../../../src/lib/auth/resources/resource.js'
import {SallyportError} from '../../../../src/lib/errors/index.js'

const roleOf = (text: string) => {
  const [resource] = parseResources(text, 'dev.yaml')
  const definition = readResource(resource)
  if (definition.kind !== 'role') throw new Error('not a role')
  return definition
}

function complaints(text: string): string[] {
  try {
    parseResources(text, 'dev.yaml')
  } catch (thrown) {
    if (thrown instanceof SallyportError && thrown.code === 'invalid_input') return thrown.message.split('\n')
    throw thrown
  }
  return []
}

const head = 'kind: role\nversion: v1\nmetadata: {name: dev}\n'

test('a role is read with every field of the guide', () => {
  const text = `kind: role
version: v1
metadata:
  name: dev
  description: Developers
spec:
  allow:
    logins: [ubuntu, '{{internal.logins}}']
    node_labels: {env: [test, staging], team: '^(web|db)$', region: eu-*}
    rules:
      - resources: [session]
        verbs: [list, read]
  deny:
    logins: [root]
    node_labels: {'*': '*'}
  options:
    max_session_ttl: 8h
    forward_agent: yes
    port_forwarding: off
    client_idle_timeout: 15m
    max_connections: 3
    max_sessions: 5
    disconnect_expired_cert: yes
    permit_x11_forwarding: no
    pin_source_ip: yes
    require_session_mfa: yes
    record_session: {ssh: strict}
    lock: strict
`
  expect(roleOf(text)).toEqual({
    kind: 'role',
    description: 'Developers',
    role: {
      name: 'dev',
      allow: {
        logins: ['ubuntu', '{{internal.logins}}'],
        nodeLabels: {env: ['test', 'staging'], team: ['^(web|db)$'], region: ['eu-*']},
        rules: [{resources: ['session'], verbs: ['list', 'read']}],
      },
      deny: {logins: ['root'], nodeLabels: {'*': ['*']}, rules: []},
      options: {
        maxSessionTtlSeconds: 28_800,
        forwardAgent: true,
        portForwarding: false,
        clientIdleTimeoutSeconds: 900,
        maxConnections: 3,
        maxSessions: 5,
        disconnectExpiredCert: true,
        permitX11Forwarding: false,
        requireSessionMfa: true,
        pinSourceIp: true,
        recordSession: 'strict',
        lock: 'strict',
      },
    },
  })
})

describe('a role is refused at the place of the mistake', () => {
  test.each([
    ['spec: {allow: {login: [root]}}', '4:16: spec.allow.login: unknown key (did you mean logins?)'],
    ['spec: {allow: {logins: root}}', '4:24: spec.allow.logins: expected a list, found text'],
    [
      "spec: {allow: {logins: [ok, '*']}}",
      '4:29: spec.allow.logins.1: a login is one exact name, without blanks, commas or *, or {{internal.logins}}',
    ],
    [
      "spec: {deny: {logins: ['{{external.x}}']}}",
      '4:24: spec.deny.logins.0: external traits are not available yet',
    ],
    [
      "spec: {allow: {logins: ['a{{internal.logins}}']}}",
      '4:25: spec.allow.logins.0: the only template is {{internal.logins}}, without text around it',
    ],
    [
      "spec: {allow: {logins: ['{{internal.name}}']}}",
      '4:25: spec.allow.logins.0: the only template is {{internal.logins}}, without text around it',
    ],
    [
      "spec: {allow: {node_labels: {env: '^(a$'}}}",
      '4:35: spec.allow.node_labels.env: is not a regular expression',
    ],
    [
      "spec: {allow: {node_labels: {env: '^a'}}}",
      '4:35: spec.allow.node_labels.env: a regular expression begins with ^ and ends with $',
    ],
    [
      "spec: {allow: {node_labels: {'*': prod}}}",
      '4:35: spec.allow.node_labels.*: the label * goes with the value * alone',
    ],
    [
      'spec: {allow: {node_labels: {env: 5}}}',
      '4:35: spec.allow.node_labels.env: expected text, or a list of texts',
    ],
    ['spec: {allow: {node_labels: {env: []}}}', '4:35: spec.allow.node_labels.env: needs 1 to 256 values'],
    [
      'spec: {deny: {node_labels: {__proto__: x}}}',
      '4:40: spec.deny.node_labels.__proto__: the name of a label has letters, digits and . _ / : -, begins with a letter or _, and is at most 128 long',
    ],
    [
      'spec: {allow: {rules: [{resources: [role], verbs: [sign]}]}}',
      '4:52: spec.allow.rules.0.verbs.0: expected one of list, read, create, update, delete, *',
    ],
    [
      'spec: {allow: {join_sessions: [{name: x, roles: [a], modes: [peeker]}]}}',
      '4:62: spec.allow.join_sessions.0.modes.0: expected one of observer, moderator, peer',
    ],
    [
      'spec: {deny: {join_sessions: [{name: x, roles: [], modes: [peer]}]}}',
      '4:48: spec.deny.join_sessions.0.roles: names at least one role',
    ],
    [
      "spec: {allow: {require_session_join: [{name: x, filter: 'user.name == a', modes: [peer], count: 1}]}}",
      '4:57: spec.allow.require_session_join.0.filter: expected a list of roles, or contains(user.roles, "role"), several of them with || between',
    ],
    [
      'spec: {allow: {require_session_join: [{name: x, filter: [a], modes: [peer], count: 0}]}}',
      '4:84: spec.allow.require_session_join.0.count: at least 1',
    ],
    ['spec: {deny: {require_session_join: []}}', '4:15: spec.deny.require_session_join: unknown key'],
    [
      'spec: {deny: {request: {roles: [x]}}}',
      '4:24: spec.deny.request: access requests are not available yet; leave this out',
    ],
    [
      'spec: {options: {max_session_ttl: 31h}}',
      '4:35: spec.options.max_session_ttl: a certificate lives from 1m to 30h',
    ],
    [
      'spec: {options: {client_idle_timeout: 5}}',
      '4:39: spec.options.client_idle_timeout: expected a duration with its unit, such as 30s, 5m or 1h30m',
    ],
    ['spec: {options: {max_sessions: -1}}', '4:32: spec.options.max_sessions: must not be negative'],
    ['spec: {options: {lock: maybe}}', '4:24: spec.options.lock: expected one of strict, best_effort'],
    ['spec: {options: {enhanced_recording: [disk]}}', '4:18: spec.options.enhanced_recording: unknown key'],
  ])('%s', (spec, line) => {
    expect(complaints(`${head}${spec}\n`)).toEqual([`dev.yaml:${line}`])
  })

  test.each([
    ['kind: rule\n', ['dev.yaml:1:7: kind: expected one of role, user, node, trusted_cluster']],
    ['name: x\n', ['dev.yaml:1:1: kind: expected one of role, user, node, trusted_cluster']],
    ['', ['dev.yaml:1:1: there is no resource in this file']],
    ['# nothing\n', ['dev.yaml:1:1: there is no resource in this file']],
    [
      'kind: role\nversion: v5\nmetadata: {name: "a b"}\nspec: {}\n',
      [
        'dev.yaml:2:10: version: expected v1',
        'dev.yaml:3:18: metadata.name: a name has letters, digits and . _ -, begins with a letter or digit, and is at most 64 long',
      ],
    ],
  ])('%j', (text, lines) => {
    expect(complaints(text)).toEqual(lines)
  })

  test('in the document it is in, with all the others', () => {
    const text = `${head}spec: {}\n---\n${head}spec: {x: 1}\n---\nkind: user\nversion: v1\nmetadata: {name: joe}\nspec: {logins: ['*'], roles: []}\n`
    expect(complaints(text)).toEqual([
      'dev.yaml:9:8: spec.x: unknown key',
      'dev.yaml:14:16: spec.logins: "*" cannot be a login',
      'dev.yaml:14:30: spec.roles: a user needs at least one role',
      'dev.yaml:8:18: metadata.name: role/dev is in this file twice',
    ])
  })
})

test('who has to join may be written as Teleport writes it', () => {
  const text = `${head}spec:
  allow:
    require_session_join:
      - name: oversight
        filter: 'contains(user.spec.roles, "auditor") || contains(user.roles, "lead")'
        kinds: [ssh]
        modes: [moderator]
        count: 2
`
  expect(roleOf(text).role.allow.requireSessionJoin).toEqual([
    {
      ...{name: 'oversight', roles: ['auditor', 'lead'], kinds: ['ssh'], modes: ['moderator'], count: 2},
      onLeave: 'terminate',
    },
  ])
})

test('every preset reads back as it is written', () => {
  for (const role of Object.values(presetRoles))
    expect(roleOf(stringify(roleResource({role})))).toEqual({kind: 'role', role})
})

test('any role reads back from YAML as it was written', () => {
  const name = fc.stringMatching(/^[a-z][a-z0-9._-]{0,8}$/)
  const label = fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_./:-]{0,8}$/).filter(text => text !== '__proto__')
  const value = fc.string({maxLength: 8}).filter(text => !/^\^|\$$|\{\{/.test(text))
  const some = <T>(item: fc.Arbitrary<T>) => fc.array(item, {maxLength: 3})
  const word = <const T extends string>(...words: T[]) => fc.constantFrom(...words)
  const conditions = fc.record({
    logins: some(fc.oneof(name, fc.constant('{{internal.logins}}'))),
    nodeLabels: fc.dictionary(label, fc.array(value, {minLength: 1, maxLength: 3}), {
      maxKeys: 3,
      noNullPrototype: true,
    }),
    rules: some(
      fc.record({
        resources: fc.array(word('user', 'role', '*'), {minLength: 1, maxLength: 2}),
        verbs: fc.array(word('list', 'create', '*'), {minLength: 1, maxLength: 2}),
      }),
    ),
  })
  const list = <T>(item: fc.Arbitrary<T>) => fc.array(item, {minLength: 1, maxLength: 2})
  const kinds = list(word('ssh', '*'))
  const modes = list(word('observer', 'moderator', 'peer'))
  const joinSessions = list(fc.record({name, roles: list(value), kinds, modes}))
  const requireSessionJoin = list(
    fc.record({
      ...{name, roles: list(name), kinds, modes, count: fc.integer({min: 1, max: 16})},
      onLeave: word('terminate', 'pause'),
    }),
  )
  const joining = fc.record({joinSessions, requireSessionJoin}, {requiredKeys: []})
  const allow = fc.tuple(conditions, joining).map(([one, other]) => ({...one, ...other}))
  const options = fc.record(
    {
      maxSessionTtlSeconds: fc.integer({min: 60, max: 108_000}),
      forwardAgent: fc.boolean(),
      portForwarding: fc.boolean(),
      clientIdleTimeoutSeconds: fc.nat({max: 10 ** 7}),
      maxConnections: fc.nat({max: 1_000_000}),
      maxSessions: fc.nat({max: 1_000_000}),
      disconnectExpiredCert: fc.boolean(),
      permitX11Forwarding: fc.boolean(),
      requireSessionMfa: fc.boolean(),
      pinSourceIp: fc.boolean(),
      recordSession: word('strict', 'best_effort'),
      lock: word('strict', 'best_effort'),
    },
    {requiredKeys: []},
  )
  const roles = fc.record({name, allow, deny: conditions, options}) as fc.Arbitrary<Role>
  fc.assert(
    fc.property(roles, role => {
      expect(roleOf(stringify(roleResource({role}))).role).toEqual(role)
    }),
  )
})
