import {generateKeyPairSync} from 'node:crypto'
import {copyFileSync, existsSync, mkdirSync, rmSync, statSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {describe, expect, test} from 'vitest'
import type {ClusterState} from '../../../../src/lib/auth/index.js'
import {type KeptClusterOptions, keepCluster} from '../../../../src/lib/service/kept/cluster.js'
import {keepHostKeys} from '../../../../src/lib/service/kept/host-keys.js'
import {type Owner, seal, unseal} from '../../../../src/lib/service/kept/seal.js'
import {temporaryDirectory} from '../../../support/temporary-directory.js'

const hour = 3_600_000
const newPem = () =>
  generateKeyPairSync('ec', {namedCurve: 'P-256'})
    .privateKey.export({type: 'pkcs8', format: 'pem'})
    .toString()
const owner: Owner = {
  ...{kind: 'cluster', role: 'proxy', clusterName: 'acme.example', key: newPem()},
  hostId: '6f4c1a56-1f0e-4a8e-9a35-0d9c1c0d7c11',
}
const state: ClusterState = {
  ...{clusterName: 'acme.example', recording: 'proxy', checkHostKeys: true, keepAliveMilliseconds: 300_000},
  access: {clientIdleTimeoutSeconds: 0, disconnectExpiredCert: false},
  authorities: {user: [Buffer.from([0, 255, 10])], host: [], openssh: []},
  machineAuthorities: ['-----BEGIN CERTIFICATE-----\nx\n'],
  users: [{name: 'joe', logins: ['root'], roles: ['access']}],
  roles: [{kind: 'role', version: 'v1', metadata: {name: 'web'}, spec: {}}],
  locks: [{id: '1', kind: 'user', name: 'ann', message: 'gone\n', created: 1, createdBy: 'bob'}],
  hosts: [{id: '2', subKind: 'openssh', hostname: 'db1', labels: {env: 'test'}, address: 'db1:22'}],
}

function disk(more: Partial<KeptClusterOptions> = {}) {
  const path = join(temporaryDirectory(), 'proxy.cluster')
  const time = {wall: 1_800_000_000_000, uptime: 1000, id: 'a'}
  const errors: string[] = []
  const options: KeptClusterOptions = {
    ...{path, owner, goodFor: 12 * hour},
    clock: () => ({wall: time.wall, boot: {id: time.id, uptime: time.uptime}}),
    log: {error: (_fields, message) => void errors.push(message)},
    ...more,
  }
  const pass = (ms: number): void => {
    time.wall += ms
    time.uptime += ms
  }
  return {path, time, pass, errors, open: (other = {}) => keepCluster({...options, ...other})}
}

describe('what a machine keeps of its cluster', () => {
  test('is all that it was told, and as old as it is', async () => {
    const {path, pass, open} = disk()
    const first = open()
    await first.keep(state)
    await first.close()
    expect(statSync(path).mode & 0o777).toBe(0o600)
    pass(5 * hour)
    const {known} = (await open().load()) as {known: object}
    expect(known).toEqual({state, fetched: 1_800_000_000_000, age: 5 * hour})
  })

  test('is as old as it was when it was known for sure', async () => {
    const {pass, open} = disk()
    const first = open()
    await first.keep(state)
    pass(3 * hour)
    await first.touch(0)
    pass(hour)
    expect(await open().load()).toMatchObject({known: {age: hour}})
  })

  test('does for twelve hours, over any number of starts and whatever is done to the clock', async () => {
    const {time, pass, open} = disk()
    await open().keep(state)
    for (const set of [-hour, -100 * hour, 0, -2 * hour]) {
      pass(2.9 * hour)
      const again = open()
      const loaded = await again.load()
      if (!loaded.ok) throw new Error(loaded.reason)
      // Clocks that nobody sets count parts of milliseconds.
      await again.touch(loaded.known.age + 0.25)
      time.wall += set
    }
    pass(hour)
    expect(await open().load()).toEqual({ok: false, reason: 'it is 12 hours old'})
  })

  test('does not do where nobody can say how old it is', async () => {
    const {time, open} = disk()
    await open().keep(state)
    Object.assign(time, {id: 'b', wall: time.wall - hour})
    expect(await open().load()).toEqual({
      ok: false,
      reason: 'the clock of this machine is behind the time at which it was kept',
    })
  })

  test.each([
    ['another cluster', {...owner, clusterName: 'other.example'}, 'it is of another cluster'],
    ['another machine', {...owner, hostId: 'x'}, 'it is of another machine'],
    ['another key', {...owner, key: newPem()}, 'it is damaged'],
    ['another role', {...owner, role: 'node'}, 'it is damaged'],
    ['another kind', {...owner, kind: 'host-keys'}, 'it is damaged'],
  ])('is nothing to %s', async (_what, other, reason) => {
    const {open} = disk()
    await open().keep(state)
    expect(await open({owner: other}).load()).toEqual({ok: false, reason})
  })

  test('is refused with any byte changed, and cut off anywhere', async () => {
    const file = Buffer.from(seal(owner, JSON.stringify({stamp: {}, state: {}})))
    expect(unseal(owner, file.toString())).toMatchObject({ok: true})
    for (let at = 0; at < file.length; at++) {
      const changed = Buffer.from(file)
      changed.writeUInt8(changed.readUInt8(at) ^ 1, at)
      expect(unseal(owner, changed.toString()), `byte ${at}`).toMatchObject({ok: false})
      expect(unseal(owner, file.toString('utf8', 0, at)), `cut at ${at}`).toMatchObject({ok: false})
    }
    expect(unseal(owner, `${file}x`)).toMatchObject({ok: false})
  })

  test.each([
    ['there is none', undefined],
    ['it is damaged', ''],
    ['it is damaged', 'x'.repeat(100)],
    ['it was written by another version of sallyport', '{"version":2}\n{}\nxx\n'],
    ['this version of sallyport does not understand it', seal(owner, 'not JSON')],
    ['this version of sallyport does not understand it', seal(owner, '{"stamp":{},"state":{}}')],
  ])('%s', async (reason, text) => {
    const {path, open} = disk()
    if (text !== undefined) writeFileSync(path, text)
    expect(await open().load()).toEqual({ok: false, reason})
  })

  test('lacks nothing that decisions are made from', async () => {
    for (const name of ['authorities', 'users', 'roles', 'locks', 'hosts', 'access', 'recording']) {
      const {open} = disk()
      const {[name as 'users']: _, ...lacking} = state
      await open().keep(lacking as ClusterState)
      expect(await open().load(), name).toMatchObject({ok: false})
    }
  })

  test('is removed where it cannot be replaced, so that no lock in the new one is passed over', async () => {
    const {path, errors, open} = disk()
    await open().keep(state)
    // There is room for the file, and none for the name of the one that would replace it.
    const full = join(path, '..', 'x'.repeat(250))
    copyFileSync(path, full)
    const kept = open({path: full})
    expect(await kept.load()).toMatchObject({ok: true})
    await kept.touch(hour)
    expect(await kept.load()).toMatchObject({ok: true})
    await kept.keep({...state, users: []})
    expect(existsSync(full)).toBe(false)
    expect(errors).toHaveLength(1)
    await kept.close()
  })

  test('is kept as soon as the disk takes it', async () => {
    const {path, open} = disk()
    const directory = join(path, '..')
    const first = open({retryMilliseconds: 1})
    rmSync(directory, {recursive: true})
    await first.keep(state)
    mkdirSync(directory, {mode: 0o700})
    await expect.poll(() => existsSync(path), {timeout: 10_000}).toBe(true)
    await first.close()
    expect(await open().load()).toMatchObject({ok: true, known: {state}})
  })
})

describe('host keys', () => {
  test('are kept as they are, the newest ones', async () => {
    const path = join(temporaryDirectory(), 'proxy.host-keys')
    const open = (other = {}) =>
      keepHostKeys({path, owner: {...owner, kind: 'host-keys', ...other}, log: {error: () => undefined}})
    const keys = {privateKey: 'PEM\n', certificates: [Buffer.from([1, 2]), Buffer.from([3])]}
    expect(await open().load()).toBeUndefined()
    const first = open()
    void first.keep(() => ({...keys, certificates: []}))
    void first.keep(() => keys)
    await first.close()
    expect(await open().load()).toEqual(keys)
    expect(await open({hostId: 'x'}).load()).toBeUndefined()
    expect(statSync(path).mode & 0o777).toBe(0o600)
  })
})
