import {describe, expect, test} from 'vitest'
import type {SessionTracker} from '../../../../src/lib/auth/contract.js'
import {serveCluster} from '../cluster/cluster-fixture.js'
import {type Auth, failure, hour, minute, openAuth, signUp} from '../fixture.js'

const uuid = (digit: number): string => `${digit}1111111-2222-4333-8444-555555555555`
const [sid, near, far] = [uuid(1), uuid(2), uuid(3)]

const tracker = (heldBy: string): SessionTracker => ({
  ...{sid, kind: 'ssh', state: 'running', user: 'joe', roles: ['access'], login: 'root', host: 'db1'},
  ...{address: '192.0.2.1:22', interactive: true, started: 1000, participants: [], heldBy, holder: 'h'},
})

/** joe has a session, which `far` holds, and asks at `near`. */
async function world(changes: Partial<SessionTracker> = {}) {
  const auth: Auth = await openAuth()
  await signUp(auth, 'joe')
  const as = (role: 'proxy' | 'node', hostId: string) => auth.service.as({kind: 'system', role, hostId})
  await as('node', far).upsertTracker({...tracker(far), ...changes})
  const identity = {user: 'joe', roles: ['access'], logins: ['root'], validBefore: 0}
  const ask = (role: 'proxy' | 'node' = 'proxy', hostId = near) =>
    as(role, hostId).permitJoin({identity, sid, mode: 'observer'})
  const beat = (address?: string) =>
    as('node', far).heartbeat({
      ...{id: far, subKind: 'node', hostname: 'far1', labels: {}},
      ...(address === undefined ? {tunnel: true} : {address}),
    })
  return {...auth, as, ask, beat}
}

describe('the way to the machine that holds a session', () => {
  test('is that to a node of the inventory', async () => {
    const {ask, beat} = await world()
    await beat('10.0.0.1:3022')
    expect((await ask()).way).toMatchObject({kind: 'node', host: {id: far, address: '10.0.0.1:3022'}})
    await beat()
    expect((await ask()).way).toMatchObject({kind: 'node', host: {id: far, tunnel: true}})
  })

  test('is that to a proxy, as long as that one speaks of itself, and to its node where that is there', async () => {
    const {as, ask, beat, clock} = await world()
    await as('proxy', far).placeProxy({address: '10.0.0.2:3023'})
    expect((await ask()).way).toEqual({kind: 'proxy', address: '10.0.0.2:3023'})
    await beat('10.0.0.1:3022')
    expect((await ask()).way).toMatchObject({kind: 'node'})
    clock.now += 20 * minute
    await as('node', far).upsertTracker(tracker(far))
    expect((await ask()).way).toMatchObject({kind: 'proxy'})
    clock.now += 24 * hour
    await as('node', far).upsertTracker(tracker(far))
    expect((await ask()).way).toMatchObject({kind: 'node', host: {id: far}})
  })

  test('is none where the cluster does not know the machine, or knows plain sshd by its UUID', async () => {
    const {admin, ask} = await world()
    expect((await ask()).way).toBeUndefined()
    const resource = {
      ...{kind: 'node', sub_kind: 'openssh', version: 'v1', metadata: {name: far}},
      spec: {hostname: 'db1', addr: '10.0.0.9:22'},
    }
    await admin.createResources({resources: [resource] as never})
    expect((await ask()).way).toBeUndefined()
  })

  test('is nothing that the holder itself or a node is told', async () => {
    const {ask, beat} = await world()
    await beat('10.0.0.1:3022')
    expect(await ask('node', far)).not.toHaveProperty('way')
    expect(await ask('proxy', far)).not.toHaveProperty('way')
  })
})

describe('a node', () => {
  test('hears of its own sessions alone, by the same words as of none', async () => {
    const {ask, events} = await world()
    expect(await ask('node', far)).toMatchObject({user: 'joe', tracker: {sid}})
    const other = await failure(ask('node', near))
    expect(other).toMatchObject({code: 'not_found', message: `no session "${sid}" runs now`})
    expect(await events('session.join')).toMatchObject([{success: false, user: 'joe', sid}])
  })
})

test('a proxy says where it is, at a place that can be one, and a node does not', async () => {
  const cluster = await serveCluster(await openAuth({clock: {now: Date.now()}}))
  const {api} = await cluster.client('proxy')
  await api.placeProxy({address: '10.0.0.2:3023'})
  await api.placeProxy({address: '[2001:db8::1]:3023'})
  for (const address of ['', '10.0.0.2', '10.0.0.2:0', '10.0.0.2:3023/x', 'a b:1', `${'x'.repeat(400)}:1`])
    expect((await failure(api.placeProxy({address}))).code).toBe('invalid_input')
  const node = await cluster.client('node')
  expect((await failure(node.api.placeProxy({address: '10.0.0.2:3023'}))).code).toBe('access_denied')
})
