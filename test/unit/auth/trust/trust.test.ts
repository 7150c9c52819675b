import {describe, expect, test} from 'vitest'
import type {TrustRequest} from '../../../../src/lib/auth/contract.js'
import type {Resource} from '../../../../src/lib/auth/index.js'
import {type Auth, failure, newKeyLine, openAuth, signUp, userCaller} from '../fixture.js'

const pin = `sha256:${'0'.repeat(64)}`

/** A root, and a leaf whose calls reach it without a network. */
async function clusters(): Promise<{
  root: Auth
  leaf: Auth
  asked: {address: string; pins: readonly string[]}[]
}> {
  const root = await openAuth({clusterName: 'root.test'})
  const asked: {address: string; pins: readonly string[]}[] = []
  const leaf = await openAuth({
    clusterName: 'leaf.test',
    establishTrust: (where, request) => {
      asked.push(where)
      return root.anonymous.establishTrust(request)
    },
  })
  return {root, leaf, asked}
}

const trusting = (token: string, spec: object = {}, name = 'root.test'): Resource =>
  ({
    kind: 'trusted_cluster',
    version: 'v1',
    metadata: {name},
    spec: {
      ...{token, ca_pin: pin, tunnel_addr: 'proxy.root.test:3024'},
      role_map: [{remote: 'access', local: ['access']}],
      ...spec,
    },
  }) as Resource

const tokenOf = async (root: Auth): Promise<string> =>
  (await root.admin.createToken({roles: ['trusted_cluster']})).token

const trusted = async (spec: object = {}) => {
  const pair = await clusters()
  await pair.leaf.admin.createResources({resources: [trusting(await tokenOf(pair.root), spec)]})
  return pair
}

/** What a leaf would send, with something changed. */
const request = async (auth: Auth, changes: Partial<TrustRequest> = {}): Promise<TrustRequest> => ({
  ...{token: await tokenOf(auth), clusterName: 'other.test', hostAuthorities: [newKeyLine()]},
  ...changes,
})

describe('a trusted cluster', () => {
  test('comes of exchanging keys with a token, on record on both sides', async () => {
    const {root, leaf, asked} = await trusted()
    expect(asked).toEqual([{address: 'proxy.root.test:3024', pins: [pin]}])
    const [known] = await root.admin.listRemoteClusters()
    const keysOf = (auth: Auth, type: string) =>
      auth.authorities
        .list()
        .filter(one => one.type === type)
        .map(({publicKey}) => publicKey.split(' ').slice(0, 2).join(' '))
    expect(known).toMatchObject({name: 'leaf.test', hostAuthorities: keysOf(leaf, 'host')})
    const stop = new AbortController()
    const watched = await leaf.service
      .as({kind: 'system', role: 'proxy'})
      .watchTrustedClusters({signal: stop.signal})
    for await (const roots of watched) {
      expect(roots).toEqual([
        {
          ...{name: 'root.test', enabled: true, tunnelAddress: 'proxy.root.test:3024'},
          roleMap: [{remote: 'access', local: ['access']}],
          userAuthorities: keysOf(root, 'user'),
          hostAuthorities: keysOf(root, 'host'),
        },
      ])
      stop.abort()
    }
    expect((await root.events('trusted_cluster.create'))[0]).toMatchObject({as: 'leaf', name: 'leaf.test'})
    expect((await leaf.events('trusted_cluster.create'))[0]).toMatchObject({as: 'root', name: 'root.test'})
  })

  test('is shown without token and pin, and removed on either side, on record', async () => {
    const {root, leaf} = await trusted()
    const [shown] = await leaf.admin.listTrustedClusters()
    expect(Object.keys(shown?.spec ?? {})).toEqual(['enabled', 'tunnel_addr', 'role_map'])
    await leaf.admin.removeTrustedCluster('root.test')
    expect(await leaf.admin.listTrustedClusters()).toEqual([])
    expect((await leaf.events('trusted_cluster.delete'))[0]).toMatchObject({as: 'root', by: 'admin'})
    await root.admin.removeRemoteCluster('leaf.test')
    expect(await root.admin.listRemoteClusters()).toEqual([])
    expect((await failure(root.admin.removeRemoteCluster('leaf.test'))).code).toBe('not_found')
  })

  test('is not replaced unless that is asked for, and then no token is spent before', async () => {
    const {root, leaf, asked} = await trusted()
    const token = await tokenOf(root)
    const again = {resources: [trusting(token, {role_map: [{remote: '*', local: ['auditor']}]})]}
    expect((await failure(leaf.admin.createResources(again))).code).toBe('already_exists')
    expect(asked).toHaveLength(1)
    expect(await leaf.admin.createResources({...again, force: true})).toMatchObject([{outcome: 'updated'}])
  })

  test('is the one that was meant', async () => {
    const {root, leaf} = await clusters()
    const other = trusting(await tokenOf(root), {}, 'another.test')
    expect((await failure(leaf.admin.createResources({resources: [other]}))).message).toBe(
      'the cluster at proxy.root.test:3024 is root.test, not another.test',
    )
    expect(await leaf.admin.listTrustedClusters()).toEqual([])
  })

  test('does not come with other resources, which could not be taken back with it', async () => {
    const {root, leaf, asked} = await clusters()
    const role: Resource = {kind: 'role', version: 'v1', metadata: {name: 'x'}, spec: {}}
    const both = {resources: [trusting(await tokenOf(root)), role]}
    expect((await failure(leaf.admin.createResources(both))).message).toContain('by itself')
    expect(asked).toEqual([])
  })

  test.each<[string, object, string?]>([
    ['has no role map', {role_map: []}],
    ['has no pin', {ca_pin: undefined}],
    ['has a pin that is none', {ca_pin: 'sha256:12'}],
    ['has an address that is none', {tunnel_addr: 'proxy:port'}],
    ['has a mapping that is no pattern', {role_map: [{remote: '^(', local: ['access']}]}],
    ['is named like a node', {}, '5e1f0d3a-9c1b-4c3e-8a55-0d6a4a1f2b7c'],
    ['has something more', {shell: 'yes'}],
  ])('is refused when it %s', async (_, spec, name = 'root.test') => {
    const {leaf, asked} = await clusters()
    const wrong = {resources: [trusting('a-token', spec, name)]}
    expect((await failure(leaf.admin.createResources(wrong))).code).toBe('invalid_input')
    expect(asked).toEqual([])
  })
})

describe('a root refuses', () => {
  test.each<[string, string, (root: Auth) => Promise<TrustRequest>]>([
    ['a token that nobody made', 'token_invalid', root => request(root, {token: 'x'.repeat(32)})],
    [
      'a token for nodes',
      'access_denied',
      async root => request(root, {token: (await root.admin.createToken({roles: ['node']})).token}),
    ],
    ['a leaf of its own name', 'invalid_input', root => request(root, {clusterName: 'ROOT.test'})],
    [
      'a leaf with the name of a node',
      'invalid_input',
      root => request(root, {clusterName: '5E1F0D3A-9c1b-4c3e-8a55-0d6a4a1f2b7c'}),
    ],
    ['a leaf without keys', 'invalid_input', root => request(root, {hostAuthorities: []})],
    ['a leaf with something else', 'invalid_input', root => request(root, {hostAuthorities: ['ssh-rsa']})],
    [
      'a leaf that shows a key of the root',
      'invalid_input',
      root => request(root, {hostAuthorities: [root.authorities.list()[0]?.publicKey ?? '']}),
    ],
  ])('%s', async (_, code, make) => {
    const root = await openAuth({clusterName: 'root.test'})
    expect((await failure(root.anonymous.establishTrust(await make(root)))).code).toBe(code)
    expect(await root.admin.listRemoteClusters()).toEqual([])
    expect((await root.events('trusted_cluster.create'))[0]).toMatchObject({success: false, code: 'T7000W'})
  })

  test('a second use of a token, and another cluster under a name that is taken', async () => {
    const root = await openAuth({clusterName: 'root.test'})
    const first = await request(root)
    await root.anonymous.establishTrust(first)
    expect((await failure(root.anonymous.establishTrust(first))).code).toBe('token_invalid')
    const thief = await request(root)
    expect((await failure(root.anonymous.establishTrust(thief))).code).toBe('already_exists')
    expect((await root.admin.listRemoteClusters())[0]?.hostAuthorities[0]).toBe(
      first.hostAuthorities[0]?.split(' ').slice(0, 2).join(' '),
    )
  })

  test('to let a machine join with a token for clusters', async () => {
    const root = await openAuth({clusterName: 'root.test'})
    const joining = {
      ...{token: await tokenOf(root), hostId: '6f4c1a56-1f0e-4a8e-9a35-0d9c1c0d7c11', nodename: 'db1'},
      ...{roles: ['node' as const], publicKey: 'none'},
    }
    expect((await failure(root.anonymous.join(joining))).code).not.toBe('token_invalid')
    expect(await root.admin.listTokens()).toHaveLength(1)
  })
})

describe('users of a root', () => {
  const joe = {user: 'joe', roles: ['access'], logins: ['root', 'joe'], validBefore: 4e9}
  const ask = (leaf: Auth, changes: object = {}) =>
    leaf.service
      .as({kind: 'system', role: 'proxy'})
      .admitForeign({cluster: 'root.test', identity: joe, login: 'root', host: 'db1', port: 22, ...changes})

  test('are let in by the roles that theirs mean here', async () => {
    const {leaf} = await trusted()
    expect((await ask(leaf)).decision).toMatchObject({allowed: true})
    expect((await ask(leaf, {login: undefined})).decision).toMatchObject({allowed: true})
    expect((await ask(leaf, {login: 'admin'})).decision).toMatchObject({
      allowed: false,
      reason: 'the certificate of remote-joe-root.test is not for the login admin',
    })
  })

  test('have no role here that the map does not name, whatever theirs are called', async () => {
    const {leaf} = await trusted({role_map: [{remote: 'developer', local: ['access']}]})
    expect((await ask(leaf)).decision).toEqual({
      allowed: false,
      reason: 'no role of joe in root.test means one here',
    })
    const editor = {...joe, roles: ['editor', 'access', 'auditor']}
    expect((await ask(leaf, {identity: editor})).decision.allowed).toBe(false)
  })

  test('are refused where their cluster is not trusted, is no longer, or is switched off', async () => {
    const {leaf} = await trusted({enabled: 'no'})
    expect((await ask(leaf)).decision.allowed).toBe(false)
    const {leaf: other} = await trusted()
    expect((await ask(other, {cluster: 'elsewhere.test'})).decision.allowed).toBe(false)
    await other.admin.removeTrustedCluster('root.test')
    expect((await ask(other)).decision.allowed).toBe(false)
  })

  test('are not the user of the same name here', async () => {
    const {leaf} = await trusted()
    await signUp(leaf, 'joe')
    await leaf.admin.createLock({kind: 'user', name: 'joe'})
    expect((await ask(leaf)).decision.allowed).toBe(true)
    await leaf.admin.createLock({kind: 'user', name: 'remote-joe-root.test'})
    expect((await ask(leaf)).decision.allowed).toBe(false)
  })

  test('see hosts by labels like anybody', async () => {
    const {leaf} = await trusted({role_map: [{remote: 'access', local: ['web']}]})
    const node = (hostname: string, env: string): Resource => ({
      ...{kind: 'node', sub_kind: 'openssh', version: 'v1'},
      ...{metadata: {name: undefined as never, labels: {env}}, spec: {hostname, addr: `${hostname}:22`}},
    })
    const web: Resource = {
      ...{kind: 'role', version: 'v1', metadata: {name: 'web'}},
      spec: {allow: {logins: ['root'], node_labels: {env: 'web'}}},
    }
    await leaf.admin.createResources({resources: [web, node('www', 'web'), node('db1', 'db')]})
    expect(await ask(leaf, {host: 'www'})).toMatchObject({
      decision: {allowed: true},
      route: {kind: 'host', host: {hostname: 'www'}},
    })
    expect(await ask(leaf)).toMatchObject({decision: {allowed: false}, route: {kind: 'hidden'}})
  })

  test('are asked for by proxies alone', async () => {
    const {leaf} = await trusted()
    const request = {cluster: 'root.test', identity: joe, login: 'root', host: 'db1', port: 22}
    for (const caller of [userCaller('joe'), {kind: 'system', role: 'node'} as const])
      expect((await failure(leaf.service.as(caller).admitForeign(request))).code).toBe('access_denied')
  })
})
