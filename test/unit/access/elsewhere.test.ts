import {expect, test} from 'vitest'
import {decideElsewhere, type Lock, type Role} from '../../../src/lib/access/index.js'

const role = (name: string, deny: string[] = [], options: Role['options'] = {}): Role => ({
  name,
  allow: {logins: [], nodeLabels: {}, rules: []},
  deny: {logins: deny, nodeLabels: {'*': ['*']}, rules: []},
  options,
})
const lock = (kind: Lock['kind'], name: string): Lock => ({
  ...{id: 'x', kind, name, created: 0, createdBy: 'admin'},
})
const ask = (roles: Role[], {login = 'root', locks = [] as Lock[]} = {}) =>
  decideElsewhere(
    roles,
    {
      ...{login, host: 'db1', cluster: 'leaf.test'},
      identity: {user: 'joe', roles: roles.map(({name}) => name), logins: ['root', 'joe'], validBefore: 0},
    },
    {clientIdleTimeoutSeconds: 0, disconnectExpiredCert: false},
    locks,
  )

test('the way to another cluster is open to a login of the certificate, whatever roles say of hosts here', () => {
  expect(ask([role('a', [], {clientIdleTimeoutSeconds: 60})])).toMatchObject({
    allowed: true,
    options: {idleTimeoutSeconds: 60},
  })
})

test.each<[string, ReturnType<typeof ask>, string]>([
  ['without a role', ask([]), 'has no role'],
  ['for a login that a role denies', ask([role('a'), role('b', ['root'])]), 'role b denies the login root'],
  ['for a login that the certificate lacks', ask([role('a')], {login: 'admin'}), 'not for the login admin'],
  ['for a locked user', ask([role('a')], {locks: [lock('user', 'joe')]}), 'locked'],
  ['for a locked role', ask([role('a')], {locks: [lock('role', 'a')]}), 'locked'],
  ['for a locked login', ask([role('a')], {locks: [lock('login', 'root')]}), 'locked'],
  ['for a locked host', ask([role('a')], {locks: [lock('node', 'db1')]}), 'locked'],
])('it is shut %s', (_, decision, reason) => {
  expect(decision).toMatchObject({allowed: false, reason: expect.stringContaining(reason)})
})
