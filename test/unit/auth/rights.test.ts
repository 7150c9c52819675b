import {describe, expect, test} from 'vitest'
import {presetRoles} from '../../../src/lib/access/index.js'
import type {AuthApi, Caller} from '../../../src/lib/auth/index.js'
import {apiRights, mayCall} from '../../../src/lib/auth/rights.js'
import {failure, newKeyLine, openAuth, signUp, userCaller} from './fixture.js'

const rolesOf = (caller: Caller) =>
  caller.kind === 'user' ? caller.roles.flatMap(name => presetRoles[name] ?? []) : []
const callers: Record<string, Caller> = {
  anonymous: {kind: 'anonymous', address: '192.0.2.7'},
  access: userCaller('joe'),
  auditor: userCaller('joe', ['auditor']),
  editor: userCaller('joe', ['editor']),
  admin: {kind: 'admin'},
  node: {kind: 'system', role: 'node'},
  proxy: {kind: 'system', role: 'proxy'},
}
const everybody = Object.keys(callers)
const known = ['access', 'auditor', 'editor', 'admin']

/** Who may call what: every method, so that a new one has to be thought about here. */
const table: Record<keyof AuthApi, string[]> = {
  ping: everybody,
  login: everybody,
  getInvite: everybody,
  acceptInvite: everybody,
  exportAuthorities: everybody,
  join: everybody,
  establishTrust: everybody,
  listRemoteClusters: [...known, 'proxy'],
  removeRemoteCluster: ['editor', 'admin'],
  listTrustedClusters: ['editor', 'admin'],
  removeTrustedCluster: ['editor', 'admin'],
  watchTrustedClusters: ['proxy'],
  admitForeign: ['proxy'],
  createUser: ['editor', 'admin'],
  updateUser: ['editor', 'admin'],
  listUsers: ['editor', 'admin'],
  removeUser: ['editor', 'admin'],
  resetUser: ['editor', 'admin'],
  unlockUser: ['editor', 'admin'],
  createResources: known,
  listRoles: ['editor', 'admin'],
  getRole: ['editor', 'admin'],
  updateRole: ['editor', 'admin'],
  removeRole: ['editor', 'admin'],
  createLock: ['editor', 'admin'],
  listLocks: ['editor', 'admin'],
  removeLock: ['editor', 'admin'],
  enrolHost: everybody,
  listHosts: [...known, 'proxy'],
  getHost: ['editor', 'admin'],
  updateHost: ['editor', 'admin'],
  removeHost: ['editor', 'admin'],
  heartbeat: ['node'],
  routeHost: ['proxy'],
  explainAccess: known,
  listAuthorities: ['editor', 'admin'],
  signHost: ['admin'],
  signUser: ['admin'],
  createToken: ['editor', 'admin'],
  listTokens: ['editor', 'admin'],
  removeToken: ['editor', 'admin'],
  listEvents: known,
  listRecordings: known,
  searchRecordings: known,
  openRecording: known,
  removeRecording: ['admin'],
  getTombstone: known,
  holdRecording: ['admin'],
  releaseRecording: ['admin'],
  auditCheckpoint: ['auditor', 'admin'],
  listTrackers: known,
  endSession: known,
  upsertTracker: ['node', 'proxy'],
  removeTracker: ['node', 'proxy'],
  dropTrackers: ['node', 'proxy'],
  permitJoin: ['node', 'proxy'],
  watchEndings: ['node', 'proxy'],
  trustedAuthorities: ['node', 'proxy'],
  issueProxyHostCertificate: ['proxy'],
  issueNodeHostCertificate: ['node'],
  renewHostCertificates: ['node', 'proxy'],
  announceProxy: ['proxy'],
  vouchConnection: ['proxy'],
  placeProxy: ['proxy'],
  decide: ['node', 'proxy'],
  checkSessionMfa: ['node', 'proxy'],
  watchLocks: ['node', 'proxy'],
  watchCluster: ['node', 'proxy'],
  emit: ['node', 'proxy'],
  emitAll: ['node', 'proxy'],
  beginRecording: ['node', 'proxy'],
  appendRecording: ['node', 'proxy'],
  sealRecording: ['node', 'proxy'],
}

test.each(Object.entries(table))('%s may be called by %j alone', (method, allowed) => {
  const may = everybody.filter(name => {
    const caller = callers[name] as Caller
    return mayCall(caller, method as keyof AuthApi, rolesOf(caller))
  })
  expect(may).toEqual(allowed)
})

test('no method is missing from the table', () => {
  expect(Object.keys(apiRights).sort()).toEqual(Object.keys(table).sort())
})

test('the service asks the table, and a refusal is on record', async () => {
  const auth = await openAuth()
  await signUp(auth)
  const joe = auth.service.as(userCaller('joe'))
  const error = await failure(joe.signHost({principals: ['db1'], publicKey: newKeyLine()}))
  expect(error.code).toBe('access_denied')
  expect((await auth.events())[0]).toMatchObject({success: false, user: 'joe', method: 'signHost'})
  expect(await auth.events('cert.create')).toEqual([])
})

describe('a certificate that is still valid', () => {
  const identity = {user: 'joe', roles: ['access'], logins: ['joe', 'root'], validBefore: 0}
  const ask = async (auth: Awaited<ReturnType<typeof openAuth>>, login = 'root') =>
    auth.service.as({kind: 'system', role: 'proxy'}).decide({identity, login, host: 'db1'})

  test('opens hosts', async () => {
    const auth = await openAuth()
    await signUp(auth)
    expect(await ask(auth)).toMatchObject({allowed: true, options: {recordSession: 'best_effort'}})
  })

  test('opens nothing once its user is removed', async () => {
    const auth = await openAuth()
    await signUp(auth)
    await auth.admin.removeUser('joe')
    expect(await ask(auth)).toEqual({allowed: false, reason: 'there is no longer a user joe'})
    expect((await failure(auth.service.as(userCaller('joe')).listRecordings({}))).code).toBe('access_denied')
  })

  test('opens nothing by a login or a role that its user has lost', async () => {
    const auth = await openAuth()
    await signUp(auth)
    await auth.admin.updateUser({name: 'joe', logins: ['joe']})
    expect(await ask(auth)).toEqual({allowed: false, reason: 'joe may no longer log in as root'})
    expect(await ask(auth, 'joe')).toMatchObject({allowed: true})
    await auth.admin.updateUser({name: 'joe', roles: ['auditor']})
    expect(await ask(auth, 'joe')).toMatchObject({allowed: false})
  })

  test('administers nothing by a role that its user has lost', async () => {
    const auth = await openAuth()
    await signUp(auth, 'joe', {roles: ['editor']})
    const joe = auth.service.as(userCaller('joe', ['editor']))
    await joe.listUsers()
    await auth.admin.updateUser({name: 'joe', roles: ['access']})
    expect((await failure(joe.listUsers())).code).toBe('access_denied')
  })
})

test('what is asked on a connection that has outlived its certificate is refused', async () => {
  const auth = await openAuth()
  await signUp(auth)
  const joe = auth.service.as({...userCaller('joe'), expires: auth.clock.now + 1} as Caller)
  await joe.listRecordings({})
  auth.clock.now += 1
  expect((await failure(joe.listRecordings({}))).code).toBe('certificate_expired')
})

test('sessions are recorded strictly where the cluster says so', async () => {
  const auth = await openAuth({recording: 'proxy-sync'})
  await signUp(auth)
  const identity = {user: 'joe', roles: ['access'], logins: ['joe', 'root'], validBefore: 0}
  const decision = await auth.service
    .as({kind: 'system', role: 'proxy'})
    .decide({identity, login: 'joe', host: 'db1'})
  expect(decision).toMatchObject({allowed: true, options: {recordSession: 'strict'}})
})
