import {describe, expect, test} from 'vitest'
import type {AuthApi, Resource, RoleResource} from '../../../../src/lib/auth/index.js'
import {parseAuthorizedKey, parseCertificate} from '../../../../src/lib/sshcert/index.js'
import {type Auth, failure, hour, logIn, newKeyLine, openAuth, signUp, userCaller} from '../fixture.js'

const role = (name: string, spec: RoleResource['spec'] = {}): RoleResource => ({
  kind: 'role',
  version: 'v1',
  metadata: {name},
  spec,
})
const user = (name: string, roles: string[], logins = [name]): Resource => ({
  kind: 'user',
  version: 'v1',
  metadata: {name},
  spec: {logins, roles},
})
const everywhere = {node_labels: {'*': '*'}}
const names = async (api: AuthApi): Promise<string[]> =>
  (await api.listRoles()).map(({resource}) => resource.metadata.name)

const ask = (auth: Auth, {roles = ['dev'], logins = ['joe', 'root'], login = 'root'} = {}) =>
  auth.service
    .as({kind: 'system', role: 'proxy'})
    .decide({identity: {user: 'joe', roles, logins, validBefore: 0}, login, host: 'db1'})

describe('creating', () => {
  test('makes all resources of a request, users with the roles that come with them, and puts each on record', async () => {
    const auth = await openAuth()
    const done = await auth.admin.createResources({resources: [user('ann', ['dev', 'access']), role('dev')]})
    expect(done).toEqual([
      {kind: 'user', name: 'ann', outcome: 'created'},
      {kind: 'role', name: 'dev', outcome: 'created'},
    ])
    expect(await names(auth.admin)).toEqual(['access', 'auditor', 'editor', 'dev'])
    expect(await auth.admin.listUsers()).toMatchObject([
      {name: 'ann', roles: ['dev', 'access'], state: 'invited'},
    ])
    expect(await auth.events('role.created')).toMatchObject([{code: 'T9000I', by: 'admin', name: 'dev'}])
    expect(await auth.events('user.create')).toMatchObject([{user: 'ann', by: 'admin'}])
  })

  test('makes none of them when one cannot be made', async () => {
    const auth = await openAuth()
    await auth.admin.createResources({resources: [role('old')]})
    const wrong: [Resource[], string][] = [
      [[role('new'), role('old', {allow: {logins: ['root']}})], 'already_exists'],
      [[role('new'), role('access')], 'invalid_input'],
      [[role('new'), role('new')], 'invalid_input'],
      [[role('new'), user('ann', ['nowhere'])], 'invalid_input'],
      [[role('new'), role('bad', {allow: {logins: ['*']}})], 'invalid_input'],
      [[user('ann', ['access']), user('ANN', ['access'])], 'invalid_input'],
      [[], 'invalid_input'],
      [Array.from({length: 101}, (_, i) => role(`r${i}`)), 'invalid_input'],
    ]
    for (const [resources, code] of wrong)
      expect((await failure(auth.admin.createResources({resources}))).code).toBe(code)
    expect(await names(auth.admin)).toEqual(['access', 'auditor', 'editor', 'old'])
    expect(await auth.admin.listUsers()).toEqual([])
  })

  test('with force replaces what is there and leaves alone what says the same, presets included', async () => {
    const auth = await openAuth()
    await signUp(auth)
    await auth.admin.createResources({resources: [role('dev'), role('ops')]})
    const listed = (await auth.admin.listRoles()).map(({resource}) => resource)
    const changed = listed.map(one =>
      one.metadata.name === 'dev' ? role('dev', {deny: {logins: ['root']}}) : one,
    )
    const done = await auth.admin.createResources({
      resources: [...changed, user('joe', ['dev'], ['joe'])],
      force: true,
    })
    expect(done.map(({name, outcome}) => `${name} ${outcome}`)).toEqual([
      'access unchanged',
      'auditor unchanged',
      'editor unchanged',
      'dev updated',
      'ops unchanged',
      'joe updated',
    ])
    expect((await auth.admin.getRole('dev')).resource.spec).toEqual({deny: {logins: ['root']}})
    expect(await auth.events('role.updated')).toMatchObject([{code: 'T9002I', name: 'dev'}])
    // The password stays: the user is who they were.
    expect(await auth.admin.listUsers()).toMatchObject([{name: 'joe', logins: ['joe'], state: 'active'}])
    const preset = role('access', {allow: {logins: ['root']}})
    const error = await failure(auth.admin.createResources({resources: [preset], force: true}))
    expect(error.message).toBe('the role access belongs to every cluster and cannot be changed')
  })

  test('is for those whose roles say so, kind by kind', async () => {
    const auth = await openAuth()
    const spec = {allow: {rules: [{resources: ['role'], verbs: ['create', 'list']}]}}
    await auth.admin.createResources({resources: [role('role-maker', spec)]})
    await signUp(auth, 'joe', {roles: ['role-maker']})
    const joe = auth.service.as(userCaller('joe', ['role-maker']))
    expect(await joe.createResources({resources: [role('dev')]})).toHaveLength(1)
    const ann = user('ann', ['editor'])
    expect((await failure(joe.createResources({resources: [ann]}))).code).toBe('access_denied')
    expect((await failure(joe.createResources({resources: [role('x')], force: true}))).code).toBe(
      'access_denied',
    )
    expect(await names(joe)).toContain('dev')
    expect((await failure(joe.getRole('dev'))).code).toBe('access_denied')
  })

  test('never gives a user the right to sign', async () => {
    const auth = await openAuth()
    const all = [{resources: ['*'], verbs: ['*']}]
    await auth.admin.createResources({resources: [role('all', {allow: {rules: all}})]})
    await signUp(auth, 'joe', {roles: ['all']})
    const joe = auth.service.as(userCaller('joe', ['all']))
    await joe.listAuthorities()
    const publicKey = newKeyLine()
    expect((await failure(joe.signHost({principals: ['db1'], publicKey}))).code).toBe('access_denied')
    expect((await failure(joe.signUser({user: 'joe', publicKey}))).code).toBe('access_denied')
  })
})

describe('updating a role', () => {
  test('is refused to whoever has not seen the newest version', async () => {
    const auth = await openAuth()
    await auth.admin.createResources({resources: [role('dev')]})
    const {revision} = await auth.admin.getRole('dev')
    const first = await auth.admin.updateRole({resource: role('dev', {deny: {logins: ['a']}}), revision})
    expect(first.revision).toBeGreaterThan(revision)
    const late = {resource: role('dev', {deny: {logins: ['b']}}), revision}
    expect((await failure(auth.admin.updateRole(late))).code).toBe('unavailable')
    expect((await auth.admin.getRole('dev')).resource.spec).toEqual({deny: {logins: ['a']}})
    const both = [1, 2].map(n =>
      auth.admin.updateRole({resource: role('dev', {deny: {logins: [`x${n}`]}}), revision: first.revision}),
    )
    expect((await Promise.allSettled(both)).map(({status}) => status).sort()).toEqual([
      'fulfilled',
      'rejected',
    ])
  })

  test('is refused for a preset, for one that is not there, and for what is not a role', async () => {
    const auth = await openAuth()
    const update = (resource: unknown) =>
      failure(auth.admin.updateRole({resource: resource as RoleResource, revision: 0}))
    expect((await update(role('access'))).code).toBe('invalid_input')
    expect((await update(role('dev'))).code).toBe('not_found')
    expect((await update(user('dev', ['access']))).code).toBe('invalid_input')
    expect((await update(role('../users/joe'))).code).toBe('invalid_input')
  })
})

test('a role that users have is removed only by force', async () => {
  const auth = await openAuth()
  await auth.admin.createResources({resources: [role('dev'), role('spare')]})
  await signUp(auth, 'joe', {roles: ['dev', 'access']})
  const refusal = await failure(auth.admin.removeRole({name: 'dev'}))
  expect(refusal.message).toBe('the role dev is still held by joe')
  await auth.admin.removeRole({name: 'spare'})
  await auth.admin.removeRole({name: 'dev', force: true})
  expect(await names(auth.admin)).toEqual(['access', 'auditor', 'editor'])
  expect(await auth.events('role.deleted')).toMatchObject([
    {code: 'T9001I', name: 'dev', holders: ['joe']},
    {name: 'spare', holders: []},
  ])
  expect((await failure(auth.admin.removeRole({name: 'dev'}))).code).toBe('not_found')
  expect((await failure(auth.admin.removeRole({name: 'access', force: true}))).code).toBe('invalid_input')
})

test('users can be given roles that exist, and no others', async () => {
  const auth = await openAuth()
  await auth.admin.createResources({resources: [role('dev')]})
  await signUp(auth, 'joe', {roles: ['dev']})
  await auth.admin.updateUser({name: 'joe', roles: ['dev', 'access']})
  for (const roles of [['none'], ['constructor'], ['../users/joe'], []])
    expect((await failure(auth.admin.updateUser({name: 'joe', roles}))).code).toBe('invalid_input')
})

describe('a certificate', () => {
  test('lives no longer, and may no more, than the roles of its user say', async () => {
    const auth = await openAuth()
    const options = {max_session_ttl: '2h', forward_agent: true, port_forwarding: false}
    await auth.admin.createResources({resources: [role('dev', {options})]})
    await signUp(auth, 'joe', {roles: ['dev']})
    const {certificate, validBefore} = await logIn(auth)
    expect(validBefore).toBe(auth.clock.now + 2 * hour)
    const {extensions} = parseCertificate(parseAuthorizedKey(certificate).blob)
    expect([...extensions.keys()]).toContain('permit-agent-forwarding')
    expect([...extensions.keys()]).not.toContain('permit-port-forwarding')
  })
})

describe('a decision looks at the roles as they are now', () => {
  test('when one is changed, made or taken away', async () => {
    const auth = await openAuth()
    await auth.admin.createResources({resources: [role('dev', {allow: {...everywhere, logins: ['root']}})]})
    await signUp(auth, 'joe', {roles: ['dev']})
    expect(await ask(auth)).toMatchObject({allowed: true, reason: 'role dev allows root on db1'})
    const denying = role('dev', {allow: {...everywhere, logins: ['root']}, deny: {logins: ['root']}})
    await auth.admin.createResources({resources: [denying], force: true})
    expect(await ask(auth)).toEqual({allowed: false, reason: 'role dev denies root on db1'})
    await auth.admin.removeRole({name: 'dev', force: true})
    expect(await ask(auth)).toEqual({allowed: false, reason: 'joe has no role that exists'})
  })

  test('and at what a role denies that the user was given after the certificate', async () => {
    const auth = await openAuth()
    await auth.admin.createResources({
      resources: [
        role('no-root', {allow: {...everywhere, logins: ['root', 'joe']}, deny: {logins: ['root']}}),
      ],
    })
    await signUp(auth)
    const old = {roles: ['access']}
    expect(await ask(auth, old)).toMatchObject({allowed: true})
    await auth.admin.updateUser({name: 'joe', roles: ['access', 'no-root']})
    expect(await ask(auth, old)).toEqual({allowed: false, reason: 'role no-root denies root on db1'})
    expect(await ask(auth, {...old, login: 'joe'})).toMatchObject({allowed: true})
    await auth.admin.updateUser({name: 'joe', roles: ['no-root']})
    expect(await ask(auth, {...old, login: 'joe'})).toMatchObject({allowed: false})
  })

  test('and fails where a stored role cannot be understood', async () => {
    const auth = await openAuth()
    await auth.admin.createResources({resources: [role('dev', {deny: {logins: ['root']}})]})
    await signUp(auth, 'joe', {roles: ['dev', 'access']})
    const later = {version: 1, resource: {...role('dev'), version: 'v9'}}
    await auth.backend.put('roles/dev', Buffer.from(JSON.stringify(later)))
    expect((await failure(ask(auth, {roles: ['dev', 'access']}))).code).toBe('store_failed')
  })
})
