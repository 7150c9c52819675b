import {describe, expect, it} from 'vitest'
import type {HostRecord} from '../../../../src/lib/access/index.js'
import type {Resource, RoleResource} from '../../../../src/lib/auth/index.js'
import {type Auth, failure, minute, openAuth, signUp, userCaller} from '../fixture.js'

const ids = ['1', '2', '3', '4'].map(digit => `${digit.repeat(8)}-0000-4000-8000-000000000000`) as [
  string,
  string,
  string,
  string,
]

const record = (changes: Partial<HostRecord> = {}): HostRecord => ({
  ...{id: ids[0], subKind: 'node', hostname: 'db-1', address: '10.0.0.1:3022', labels: {env: 'prod'}},
  ...changes,
})
const nodeOf = (auth: Auth, hostId = ids[0]) => auth.service.as({kind: 'system', role: 'node', hostId})
const proxyOf = (auth: Auth) => auth.service.as({kind: 'system', role: 'proxy'})

const registered = (
  hostname: string,
  addr: string,
  labels: Record<string, string> = {},
  name?: string,
): Resource =>
  ({
    ...{kind: 'node', sub_kind: 'openssh', version: 'v1'},
    metadata: {...(name !== undefined && {name}), labels},
    spec: {hostname, addr},
  }) as Resource

const role = (name: string, spec: RoleResource['spec']): RoleResource => ({
  ...{kind: 'role', version: 'v1', metadata: {name}},
  spec,
})

const names = async (list: Promise<HostRecord[]>): Promise<string[]> =>
  (await list).map(({hostname}) => hostname)

describe('a heartbeat', () => {
  it('puts the node into the inventory, as it says it is', async () => {
    const auth = await openAuth()
    await nodeOf(auth).heartbeat(record({version: '1.0', hostname: 'DB-1.', lastSeen: 5, expires: 6}))
    expect(await auth.admin.listHosts({})).toEqual([
      record({version: '1.0', lastSeen: auth.clock.now, expires: auth.clock.now + 10 * minute}),
    ])
    await nodeOf(auth).heartbeat(record({labels: {env: 'test'}}))
    expect(await auth.admin.listHosts({})).toMatchObject([{labels: {env: 'test'}}])
  })

  it('is of itself alone', async () => {
    const auth = await openAuth()
    expect((await failure(nodeOf(auth, ids[1]).heartbeat(record()))).code).toBe('access_denied')
    const nobody = auth.service.as({kind: 'system', role: 'node'})
    expect((await failure(nobody.heartbeat(record()))).code).toBe('access_denied')
    expect((await failure(proxyOf(auth).heartbeat(record()))).code).toBe('access_denied')
    await auth.admin.createResources({resources: [registered('db-1', '10.0.0.1', {}, ids[0])]})
    expect((await failure(nodeOf(auth).heartbeat(record()))).code).toBe('already_exists')
    expect(await auth.admin.listHosts({})).toMatchObject([{subKind: 'openssh'}])
  })

  it.each<[string, Partial<HostRecord>]>([
    ['a name that is none', {hostname: 'a b'}],
    ['a name that is the UUID of another', {hostname: ids[1]}],
    ['an address without a port', {address: '10.0.0.1:'}],
    ['the port 0', {address: '10.0.0.1:0'}],
    ['too many labels', {labels: Object.fromEntries(Array.from({length: 65}, (_, at) => [`l${at}`, 'x']))}],
    ['a label too long', {labels: {env: 'x'.repeat(513)}}],
    ['a label with a line break', {labels: {env: 'a\nb'}}],
    ['a label called *', {labels: {'*': '*'}}],
    ['a label called __proto__', {labels: JSON.parse('{"__proto__": "x"}')}],
    ['a version too long', {version: 'x'.repeat(65)}],
    ['a label that is a number', {labels: {env: 5}} as never],
    ['a label that is a list', {labels: {env: ['x']}} as never],
    ['no labels', {labels: undefined} as never],
    ['a version that is a list', {version: []} as never],
    ['a name that is none at all', {hostname: 7} as never],
    ['an address that is a list', {address: ['10.0.0.1:22']} as never],
  ])('with %s is refused', async (_, changes) => {
    const auth = await openAuth()
    expect((await failure(nodeOf(auth).heartbeat(record(changes)))).code).toBe('invalid_input')
    expect(await auth.admin.listHosts({})).toEqual([])
  })

  it('is not taken from where a registered host is, whose labels it would replace', async () => {
    const auth = await openAuth()
    await nodeOf(auth).heartbeat(record({address: '10.0.0.9:22', labels: {env: 'dev'}}))
    await auth.admin.createResources({resources: [registered('prod', '10.0.0.9:22', {env: 'prod'})]})
    const beat = nodeOf(auth).heartbeat(record({address: '10.0.0.9:22', labels: {env: 'dev'}}))
    expect((await failure(beat)).code).toBe('already_exists')
    expect(await names(auth.admin.listHosts({}))).toEqual(['prod'])
    await nodeOf(auth).heartbeat(record({address: '10.0.0.9:3022'}))
    expect(await names(auth.admin.listHosts({}))).toEqual(['db-1', 'prod'])
  })

  it('takes no name by which another host is registered', async () => {
    const auth = await openAuth()
    const hostId = ids[1]
    const elsewhere = auth.service.as({kind: 'system', role: 'node', hostId, address: '10.0.0.2:4000'})
    const beat = (hostname: string) =>
      elsewhere.heartbeat(record({id: hostId, hostname, address: '10.0.0.2:3022'})).then(
        () => 'taken',
        error => error.code,
      )
    expect(await beat('prod')).toBe('taken')
    const resource = registered('prod', '10.0.0.9:22') as Resource & {spec: {names?: string[]}}
    resource.spec.names = ['www.prod.example']
    await auth.admin.createResources({resources: [resource]})
    for (const name of ['prod', 'PROD.', 'www.prod.example']) {
      expect(await beat(name)).toBe('already_exists')
      expect(await names(auth.admin.listHosts({}))).toEqual(['prod'])
    }
    expect(await beat('other')).toBe('taken')
    // On the machine of the auth service both may be meant.
    await nodeOf(auth).heartbeat(record({hostname: 'prod'}))
    expect(await names(auth.admin.listHosts({}))).toEqual(['other', 'prod', 'prod'])
  })

  it('that does not come again leaves the node offline, and forgotten after seven days', async () => {
    const auth = await openAuth()
    await nodeOf(auth).heartbeat(record())
    auth.clock.now += 11 * minute
    expect((await auth.admin.listHosts({}))[0]?.expires).toBeLessThan(auth.clock.now)
    auth.clock.now += 7 * 24 * 60 * minute
    expect(await auth.admin.listHosts({})).toEqual([])
    const after = await auth.restart()
    expect(await after.admin.listHosts({})).toEqual([])
  })

  it('outlives a restart', async () => {
    const auth = await openAuth()
    await nodeOf(auth).heartbeat(record())
    const before = await auth.admin.listHosts({})
    expect(await (await auth.restart()).admin.listHosts({})).toEqual(before)
  })
})

describe('the list of hosts', () => {
  const world = async (): Promise<Auth> => {
    const auth = await openAuth()
    await auth.admin.createResources({
      resources: [
        role('prod', {allow: {logins: ['root'], node_labels: {env: 'prod'}}}),
        role('not-db', {deny: {node_labels: {team: 'db'}}}),
        role('nologin', {allow: {logins: ['postgres'], node_labels: {'*': '*'}}}),
        role('lists', {allow: {rules: [{resources: ['node'], verbs: ['list']}]}}),
        registered('db-1', '10.0.0.1', {env: 'prod', team: 'db'}, ids[0]),
        registered('web-1', '10.0.0.2:2222', {env: 'prod'}, ids[1]),
        registered('web-2', '10.0.0.3', {env: 'test'}, ids[2]),
        registered('bare', '10.0.0.4', {}, ids[3]),
      ],
    })
    return auth
  }
  it.each<[string[], string[]]>([
    [['access'], ['bare', 'db-1', 'web-1', 'web-2']],
    [['prod'], ['db-1', 'web-1']],
    [['prod', 'not-db'], ['web-1']],
    [
      ['access', 'not-db'],
      ['bare', 'web-1', 'web-2'],
    ],
    [['nologin'], []],
    [['auditor'], []],
    [['lists'], ['bare', 'db-1', 'web-1', 'web-2']],
  ])('for %j has %j', async (roles, expected) => {
    const auth = await world()
    await signUp(auth, 'joe', {roles})
    const joe = auth.service.as(userCaller('joe', roles))
    expect(await names(joe.listHosts({}))).toEqual(expected)
  })

  it('is narrowed by labels and words', async () => {
    const auth = await world()
    const find = (query: Parameters<Auth['admin']['listHosts']>[0]) => names(auth.admin.listHosts(query))
    expect(await find({labels: {env: 'prod'}})).toEqual(['db-1', 'web-1'])
    expect(await find({labels: {env: '*'}})).toEqual(['db-1', 'web-1', 'web-2'])
    expect(await find({labels: {env: 'prod', team: 'db'}})).toEqual(['db-1'])
    expect(await find({labels: {toString: '*'}})).toEqual([])
    expect(await find({search: 'WEB, env=prod'})).toEqual(['web-1'])
    expect(await find({search: '10.0.0.2:2222'})).toEqual(['web-1'])
    expect(await find({search: ids[2].slice(0, 8)})).toEqual(['web-2'])
    expect(await find({search: 'nothing'})).toEqual([])
  })

  it('is for nobody who is not known', async () => {
    const auth = await world()
    expect((await failure(auth.anonymous.listHosts({}))).code).toBe('access_denied')
  })
})

describe('a registered host', () => {
  it('gets a UUID, is canonical, and is not registered twice', async () => {
    const auth = await openAuth()
    const [made] = await auth.admin.createResources({resources: [registered('DB-1.', '[2001:DB8::0:7]')]})
    expect(made).toMatchObject({kind: 'node', outcome: 'created'})
    const {resource} = await auth.admin.getHost('db-1')
    expect(resource).toMatchObject({
      metadata: {name: made?.name},
      spec: {hostname: 'db-1', addr: '[2001:db8::7]:22'},
    })
    const again = {resources: [registered('db-1', '[2001:db8::7]:22', {env: 'x'})]}
    expect((await failure(auth.admin.createResources(again))).code).toBe('already_exists')
    const [changed] = await auth.admin.createResources({...again, force: true})
    expect(changed).toEqual({kind: 'node', name: made?.name, outcome: 'updated'})
    expect((await auth.admin.createResources({...again, force: true}))[0]?.outcome).toBe('unchanged')
    expect(await auth.admin.listHosts({})).toHaveLength(1)
  })

  it('is changed at its revision, removed, and each is on record', async () => {
    const auth = await openAuth()
    await auth.admin.createResources({resources: [registered('db-1', '10.0.0.1', {}, ids[0])]})
    const {resource, revision} = await auth.admin.getHost(ids[0])
    const moved = {...resource, spec: {...resource.spec, addr: '10.0.0.9:22'}}
    await auth.admin.updateHost({resource: moved, revision})
    expect((await auth.admin.getHost('db-1')).resource).toEqual(moved)
    expect((await failure(auth.admin.updateHost({resource, revision}))).code).toBe('unavailable')
    await auth.admin.removeHost('db-1')
    expect((await failure(auth.admin.getHost('db-1'))).code).toBe('not_found')
    expect((await failure(auth.admin.removeHost('db-1'))).code).toBe('not_found')
    const events = (await auth.events()).map(({event}) => event).filter(event => event.startsWith('node.'))
    expect(events).toEqual(['node.deleted', 'node.updated', 'node.created'])
  })

  it('is for users with the right to it', async () => {
    const auth = await openAuth()
    await signUp(auth, 'joe')
    await signUp(auth, 'ed', {roles: ['editor']})
    const joe = auth.service.as(userCaller('joe'))
    const ed = auth.service.as(userCaller('ed', ['editor']))
    const resources = [registered('db-1', '10.0.0.1', {}, ids[0])]
    expect((await failure(joe.createResources({resources}))).code).toBe('access_denied')
    await ed.createResources({resources})
    for (const attempt of [joe.getHost('db-1'), joe.removeHost('db-1')])
      expect((await failure(attempt)).code).toBe('access_denied')
    await ed.removeHost('db-1')
  })

  it('of an ambiguous name is named by its UUID', async () => {
    const auth = await openAuth()
    const resources = [registered('db', '10.0.0.1', {}, ids[0]), registered('db', '10.0.0.2', {}, ids[1])]
    await auth.admin.createResources({resources})
    expect((await failure(auth.admin.removeHost('db'))).code).toBe('host_ambiguous')
    await auth.admin.removeHost(ids[1])
    expect((await auth.admin.getHost('db')).resource.metadata.name).toBe(ids[0])
  })

  it.each<[string, Resource]>([
    ['an address for a name', registered('10.0.0.1', '10.0.0.1')],
    ['a UUID for a name', registered(ids[1], '10.0.0.1')],
    ['no address', registered('db', '')],
    ['a user in its address', registered('db', 'root@10.0.0.1')],
    ['a port that is none', registered('db', '10.0.0.1:70000')],
    ['a name that is no UUID', registered('db', '10.0.0.1', {}, 'db')],
    ['a label that is no text', registered('db', '10.0.0.1', {env: 1 as never})],
    ['a node of ours', {...registered('db', '10.0.0.1'), sub_kind: 'node'} as never],
  ])('is refused with %s', async (_, resource) => {
    const auth = await openAuth()
    expect((await failure(auth.admin.createResources({resources: [resource]}))).code).toBe('invalid_input')
  })
})

describe('a decision', () => {
  const identity = {user: 'joe', roles: ['prod'], logins: ['joe', 'root'], validBefore: 0}
  const world = async (): Promise<Auth> => {
    const auth = await openAuth()
    const resources = [
      role('prod', {allow: {logins: ['root'], node_labels: {env: 'prod'}}}),
      registered('db-1', '10.0.0.1', {env: 'prod'}, ids[0]),
      registered('web-1', '10.0.0.2', {env: 'test'}, ids[1]),
    ]
    await auth.admin.createResources({resources})
    await signUp(auth, 'joe', {roles: ['prod']})
    return auth
  }
  const ask = (auth: Auth, more: object = {}) =>
    proxyOf(auth).decide({identity, login: 'root', host: 'db-1', ...more})

  it('goes by the labels of the host in the inventory, and by no others', async () => {
    const auth = await world()
    expect(await ask(auth, {hostId: ids[0]})).toMatchObject({allowed: true})
    const labels = {env: 'prod'}
    expect(await ask(auth, {hostId: ids[1], labels})).toMatchObject({allowed: false, hidden: true})
    expect(await ask(auth, {hostId: ids[3], labels})).toMatchObject({allowed: false, hidden: true})
    expect(await ask(auth, {labels})).toMatchObject({allowed: false, hidden: true})
    expect(await ask(auth, {hostId: ids[0], login: 'joe'})).toEqual({
      allowed: false,
      reason: 'no role of joe that allows db-1 (prod) allows the login joe',
    })
  })

  it('of a node is about itself, whatever it asks', async () => {
    const auth = await world()
    await nodeOf(auth, ids[2]).heartbeat(record({id: ids[2], labels: {env: 'test'}}))
    const request = {identity, login: 'root', host: 'db-1', hostId: ids[0]}
    expect(await nodeOf(auth, ids[2]).decide(request)).toMatchObject({allowed: false})
    await nodeOf(auth, ids[2]).heartbeat(record({id: ids[2], labels: {env: 'prod'}}))
    expect(await nodeOf(auth, ids[2]).decide({...request, hostId: ids[1]})).toMatchObject({allowed: true})
  })

  it('sees a lock on any name of the host, and does not tell of a hidden one', async () => {
    const auth = await world()
    for (const name of [ids[0], 'db-1', '10.0.0.1']) {
      const {id} = await auth.admin.createLock({kind: 'node', name})
      expect(await ask(auth, {host: 'alias', hostId: ids[0]})).toEqual({
        allowed: false,
        reason: `the node ${name} is locked`,
      })
      await auth.admin.removeLock(id)
    }
    await auth.admin.createLock({kind: 'node', name: ids[1]})
    expect(await ask(auth, {host: 'web-1', hostId: ids[1]})).toMatchObject({hidden: true})
  })
})

describe('a route', () => {
  it('is asked for by proxies, and shows users what they may reach', async () => {
    const auth = await openAuth()
    const resources = [
      role('prod', {allow: {logins: ['root'], node_labels: {env: 'prod'}}}),
      registered('db', '10.0.0.1', {env: 'prod'}, ids[0]),
      registered('db', '10.0.0.2', {env: 'test'}, ids[1]),
    ]
    await auth.admin.createResources({resources})
    await signUp(auth, 'joe', {roles: ['prod']})
    await signUp(auth, 'ann')
    const route = (user: string, roles: string[], host: string, addresses?: string[]) =>
      proxyOf(auth).routeHost({
        identity: {user, roles, logins: ['root'], validBefore: 0},
        ...{host, port: 0},
        ...(addresses && {addresses}),
      })
    expect(await route('joe', ['prod'], 'db')).toMatchObject({kind: 'host', host: {id: ids[0]}})
    expect(await route('ann', ['access'], 'db')).toMatchObject({kind: 'ambiguous'})
    expect(await route('joe', ['prod'], ids[1])).toEqual({kind: 'hidden'})
    expect(await route('joe', ['prod'], 'x', ['10.0.0.1'])).toMatchObject({kind: 'host'})
    expect(await route('nobody', ['access'], 'db')).toEqual({kind: 'hidden'})
    expect(await route('joe', ['prod'], 'x')).toEqual({kind: 'none'})
    const request = {
      identity: {user: 'ann', roles: ['access'], logins: [], validBefore: 0},
      host: 'db',
      port: 0,
    }
    expect((await failure(nodeOf(auth).routeHost(request))).code).toBe('access_denied')
  })
})
