import {describe, expect, test} from 'vitest'
import {decideCurrent} from '../../../../src/lib/auth/access/current-user.js'
import {accessStateOf} from '../../../../src/lib/auth/cluster/state.js'
import type {Caller, ClusterState} from '../../../../src/lib/auth/contract.js'
import {fromWire, toWire} from '../../../../src/lib/auth/http/wire.js'
import {type Auth, openAuth, signUp} from '../fixture.js'
import {hostId, otherId} from './cluster-fixture.js'

const nodeCaller: Caller = {kind: 'system', role: 'node', hostId, address: '192.0.2.1:1'}
const proxyCaller: Caller = {...nodeCaller, role: 'proxy'}

const role = (name: string, labels: Record<string, string>, more: {deny?: object; rules?: object[]} = {}) =>
  ({
    ...{kind: 'role', version: 'v1', metadata: {name, description: 'of whom it is'}},
    spec: {
      allow: {logins: ['root'], node_labels: labels, ...(more.rules && {rules: more.rules})},
      ...(more.deny && {deny: more.deny}),
      options: {},
    },
  }) as never

const readEverything = {resources: ['*'], verbs: ['list', 'read']}

/** db1 is the node in question; eve may go to web1 alone, and mallory is kept off db1. */
async function ready(): Promise<Auth> {
  const auth = await openAuth()
  await auth.admin.createResources({
    resources: [
      role('dba', {env: 'prod'}, {rules: [readEverything]}),
      role('web', {env: 'test'}),
      role('kept-off', {env: '*'}, {deny: {node_labels: {env: 'prod'}}}),
    ],
  })
  await signUp(auth, 'joe', {roles: ['dba']})
  await signUp(auth, 'eve', {roles: ['web']})
  await signUp(auth, 'mallory', {roles: ['dba', 'kept-off']})
  const beat = (id: string, hostname: string, env: string) =>
    auth.service
      .as({kind: 'system', role: 'node', hostId: id})
      .heartbeat({id, hostname, subKind: 'node', labels: {env}})
  await beat(otherId, 'web1', 'test')
  await beat(hostId, 'db1', 'prod')
  return auth
}

async function watched(auth: Auth, caller: Caller) {
  const stop = new AbortController()
  const states = (await auth.service.as(caller).watchCluster({signal: stop.signal}))[Symbol.asyncIterator]()
  return {
    async next(): Promise<ClusterState> {
      const {value} = await states.next()
      if (!value) throw new Error('the stream has ended')
      return value
    },
    async stop() {
      stop.abort()
      await states.return?.()
    },
  }
}

async function seenBy(auth: Auth, caller: Caller): Promise<ClusterState> {
  const states = await watched(auth, caller)
  const state = await states.next()
  await states.stop()
  return state
}

describe('what a node knows of the cluster', () => {
  test('of hosts it is its own entry; a proxy, which leads to all of them, knows all', async () => {
    const auth = await ready()
    expect((await seenBy(auth, nodeCaller)).hosts.map(({hostname}) => hostname)).toEqual(['db1'])
    expect((await seenBy(auth, proxyCaller)).hosts.map(({hostname}) => hostname)).toEqual(['db1', 'web1'])
  })

  test('of users it is those who may come there, and of them nothing but names', async () => {
    const auth = await ready()
    const {users} = await seenBy(auth, nodeCaller)
    expect(users).toEqual([{name: 'joe', logins: ['joe', 'root'], roles: ['dba']}])
    expect((await seenBy(auth, proxyCaller)).users.map(({name}) => name).sort()).toEqual([
      'eve',
      'joe',
      'mallory',
    ])
  })

  test('of roles it is those of such users, without what they say about anything but hosts', async () => {
    const auth = await ready()
    const {roles} = await seenBy(auth, nodeCaller)
    expect(roles.map(({metadata}) => metadata)).toEqual([{name: 'dba'}])
    expect(JSON.stringify(roles)).not.toContain('rules')
    expect(JSON.stringify(await seenBy(auth, proxyCaller))).toContain('rules')
  })

  test('it is nobody before the node is known by its labels, and follows them', async () => {
    const auth = await ready()
    const third = '8f4c1a56-1f0e-4a8e-9a35-0d9c1c0d7c11'
    const caller: Caller = {kind: 'system', role: 'node', hostId: third, address: '192.0.2.1:1'}
    const states = await watched(auth, caller)
    expect(await states.next()).toMatchObject({users: [], roles: [], hosts: []})
    await auth.service
      .as(caller)
      .heartbeat({id: third, hostname: 'web2', subKind: 'node', labels: {env: 'test'}})
    expect((await states.next()).users.map(({name}) => name)).toEqual(['eve', 'mallory'])
    await states.stop()
  })

  test('every lock is in it, of whatever: none that is missing lets somebody in', async () => {
    const auth = await ready()
    await auth.admin.createLock({kind: 'node', name: 'web1'})
    await auth.admin.createLock({kind: 'role', name: 'web'})
    expect((await seenBy(auth, nodeCaller)).locks.map(({name}) => name).sort()).toEqual(['web', 'web1'])
  })
})

test('a node alone decides about each user as the auth service would', async () => {
  const auth = await ready()
  const node = auth.service.as(nodeCaller)
  const state = accessStateOf(
    fromWire(toWire(await seenBy(auth, nodeCaller))) as ClusterState,
    () => auth.clock.now,
  )
  const allowed: string[] = []
  for (const user of ['joe', 'eve', 'mallory', 'nobody'])
    for (const roles of [['dba'], ['web'], ['dba', 'kept-off'], ['web', 'dba', 'access']])
      for (const login of ['root', 'joe', 'admin']) {
        const identity = {user, roles, logins: ['root', 'joe', 'admin'], validBefore: 4_000_000_000}
        const request = {identity, login, host: 'db1', hostId: otherId}
        const theirs = await node.decide(request)
        const own = await decideCurrent(state, request, nodeCaller)
        expect(own.allowed).toBe(theirs.allowed)
        if (own.allowed) {
          expect(own).toEqual(theirs)
          allowed.push(`${user} ${roles} ${login}`)
        }
      }
  expect(allowed).toEqual(['joe dba root', 'joe dba,kept-off root', 'joe web,dba,access root'])
})
