import {readFileSync, rmSync, statSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {pino} from 'pino'
import {describe, expect, test} from 'vitest'
import {parseRoles, resolveConfig} from '../../../src/lib/config/index.js'
import {authorityPin} from '../../../src/lib/pki/index.js'
import {createHealth} from '../../../src/lib/service/health.js'
import {
  currentCertificate,
  loadMachineIdentity,
  type MachineIdentity,
} from '../../../src/lib/service/identity/machine-identity.js'
import type {Part} from '../../../src/lib/service/parts/part.js'
import {openRemoteAuth} from '../../../src/lib/service/remote-auth.js'
import {createResources} from '../../../src/lib/service/resources.js'
import {atEnd} from '../../support/cleanup.js'
import {eventually} from '../../support/eventually.js'
import {temporaryDirectory} from '../../support/temporary-directory.js'
import {serveCluster} from '../auth/cluster/cluster-fixture.js'
import {type Auth, failure, openAuth, signUp} from '../auth/fixture.js'

const day = 24 * 3_600_000
const hostId = '6f4c1a56-1f0e-4a8e-9a35-0d9c1c0d7c11'

interface MachineWish {
  auth: Auth
  port: number
  dataDir: string
  roles?: string
  token?: string
  /** Ms that the machine's clock is ahead. */
  ahead?: number
}

/** What `start` does for the roles of a machine before they begin. */
async function start({auth, port, dataDir, roles = 'proxy', token, ahead = 0}: MachineWish) {
  const lines: Record<string, unknown>[] = []
  const logger = pino({level: 'info'}, {write: line => void lines.push(JSON.parse(line))})
  const flags = {
    ...{roles: parseRoles(roles), dataDir, authServer: `127.0.0.1:${port}`, nodename: 'machine1'},
    ...(token === undefined ? {} : {token}),
    caPin: auth.authorities.tlsHostAuthorities().map(authorityPin).join(','),
  }
  const resources = createResources()
  const part: Part = {
    config: resolveConfig({}, flags, {hostname: 'machine1', home: '/', isRoot: true}),
    ...{logger, resources, hostId, version: '1.2.3', health: createHealth(), drain: {milliseconds: 0}},
    now: () => Date.now() + ahead,
  }
  const stop = () => resources.close(logger)
  atEnd(stop)
  const link = await openRemoteAuth(part)
  return {link, lines, stop, health: part.health}
}

const kept = (dataDir: string): MachineIdentity =>
  JSON.parse(readFileSync(join(dataDir, 'identity.json'), 'utf8'))

const ready = async () => {
  const auth = await openAuth({clock: {now: Date.now()}})
  const {server} = await serveCluster(auth)
  const dataDir = temporaryDirectory()
  const tokenFor = async (...roles: ('proxy' | 'node')[]) => (await auth.admin.createToken({roles})).token
  return {auth, server, tokenFor, machine: {auth, port: server.address.port, dataDir}}
}

const proxyRequest = {
  identity: {user: 'joe', roles: ['access'], logins: ['root'], validBefore: 4_000_000_000},
  ...{login: 'root', host: 'db1'},
}

describe('a machine that starts while the auth service is away', () => {
  const joinedOnce = async () => {
    const made = await ready()
    await signUp(made.auth)
    await (await start({...made.machine, token: await made.tokenFor('proxy')})).stop()
    return made
  }

  test('begins with what it knew, says so, and how old it is', async () => {
    const {server, machine} = await joinedOnce()
    await server.close()
    const {link, lines, health} = await start({...machine, ahead: 3_600_000})
    expect(await link.as('proxy').decide(proxyRequest)).toMatchObject({allowed: true})
    expect(link.cluster).toMatchObject({clusterName: 'acme.example', recording: 'proxy'})
    expect(link.beginning?.('proxy').knownLocks).toEqual([])
    const told = lines.find(({msg}) => String(msg).startsWith('the auth service is away: this starts'))
    expect(told).toMatchObject({level: 40, known: expect.stringMatching(/^20.*Z$/)})
    expect(told?.known_seconds).toBeGreaterThanOrEqual(3600)
    expect(health.told().roles).toMatchObject([{role: 'proxy', auth: 'away', outbox: {events: 0}}])
    expect(health.told().roles[0]?.reason).toBeUndefined()
  })

  test('does so until what it knew is twelve hours old', async () => {
    const {server, machine} = await joinedOnce()
    await server.close()
    const hour = 3_600_000
    const late = failure(start({...machine, ahead: 12 * hour}))
    expect(await late).toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('what was kept of the cluster does not do: it is 12 hours old'),
      hint: 'start this again when the auth service is back',
    })
  })

  test('for the first time, or without what it kept, does not', async () => {
    const {server, machine, tokenFor} = await joinedOnce()
    const token = await tokenFor('proxy')
    await server.close()
    const fresh = {...machine, dataDir: temporaryDirectory(), token}
    expect(await failure(start(fresh))).toMatchObject({code: 'unavailable'})
    rmSync(join(machine.dataDir, 'proxy.cluster'))
    expect(await failure(start(machine))).toMatchObject({
      code: 'unavailable',
      message: expect.stringMatching(/cannot be reached: .*: there is none$/),
    })
  })

  test('does not where it knows that it is locked itself', async () => {
    const {auth, server, machine} = await joinedOnce()
    const running = await start(machine)
    await auth.admin.createLock({kind: 'node', name: hostId, message: 'stolen'})
    const file = join(machine.dataDir, 'proxy.cluster')
    await eventually(() => readFileSync(file, 'utf8').includes('stolen'))
    await running.stop()
    await server.close()
    expect(await failure(start(machine))).toMatchObject({
      code: 'access_denied',
      message: `the node ${hostId} is locked: stolen`,
    })
  })
})

describe('a machine with roles of a cluster elsewhere', () => {
  test('joins once, keeps what it got to itself, and starts again with that alone', async () => {
    const {tokenFor, machine} = await ready()
    const first = await start({...machine, token: await tokenFor('proxy')})
    expect(first.link.cluster).toMatchObject({clusterName: 'acme.example', recording: 'proxy'})
    await first.stop()
    expect(statSync(join(machine.dataDir, 'identity.json')).mode & 0o777).toBe(0o600)
    const before = kept(machine.dataDir)
    const second = await start(machine)
    expect(await second.link.as('proxy').ping()).toMatchObject({clusterName: 'acme.example'})
    await second.stop()
    expect(kept(machine.dataDir)).toEqual(before)
  })

  test('joins for another role with another token and the same key', async () => {
    const {tokenFor, machine} = await ready()
    await (await start({...machine, token: await tokenFor('proxy')})).stop()
    const {key} = kept(machine.dataDir)
    const lacking = failure(start({...machine, roles: 'proxy,node'}))
    expect(await lacking).toMatchObject({
      code: 'config_invalid',
      message: 'this machine has not joined the cluster as node',
    })
    await (await start({...machine, roles: 'proxy,node', token: await tokenFor('node')})).stop()
    expect(kept(machine.dataDir).key).toBe(key)
    expect(kept(machine.dataDir).certificates.map(({role}) => role)).toEqual(['proxy', 'node'])
  })

  test('is the same machine when the answer to its first attempt was lost', async () => {
    const {tokenFor, machine, auth} = await ready()
    const {key} = await loadMachineIdentity(machine.dataDir)
    await (await start({...machine, token: await tokenFor('proxy')})).stop()
    expect(kept(machine.dataDir).key).toBe(key)
    // As if nothing had arrived: the UUID is still its own.
    writeFileSync(
      join(machine.dataDir, 'identity.json'),
      JSON.stringify({...kept(machine.dataDir), certificates: []}),
    )
    await (await start({...machine, token: await tokenFor('proxy')})).stop()
    expect(await auth.events('instance.join')).toHaveLength(2)
  })

  test('renews its certificates when a third of their time is over, and not before', async () => {
    const {tokenFor, machine} = await ready()
    await (await start({...machine, token: await tokenFor('proxy', 'node'), roles: 'proxy,node'})).stop()
    const before = kept(machine.dataDir)
    const early = await start({...machine, roles: 'proxy,node', ahead: 29 * day})
    await early.link.as('proxy').ping()
    await early.stop()
    expect(kept(machine.dataDir)).toEqual(before)
    const late = await start({...machine, roles: 'proxy,node', ahead: 31 * day})
    const renewed = () => late.lines.filter(({msg}) => msg === 'the certificate of this machine was renewed')
    await eventually(() => renewed().length >= 2)
    const after = kept(machine.dataDir)
    expect(after.key).toBe(before.key)
    for (const role of ['proxy', 'node'] as const)
      expect(currentCertificate(after, role, Date.now())).not.toBe(
        currentCertificate(before, role, Date.now()),
      )
    // The next connection shows the new one.
    await late.stop()
    await (await start({...machine, roles: 'proxy,node'})).stop()
  })

  test('believes the authorities that the cluster has now', async () => {
    const {tokenFor, machine, auth} = await ready()
    await (await start({...machine, token: await tokenFor('proxy')})).stop()
    const other = await openAuth({clock: {now: Date.now()}})
    // One too many, as after a rotation.
    const before = kept(machine.dataDir)
    const authorities = [...before.authorities, ...other.authorities.tlsHostAuthorities()]
    writeFileSync(join(machine.dataDir, 'identity.json'), JSON.stringify({...before, authorities}))
    await (await start(machine)).stop()
    await eventually(() => kept(machine.dataDir).authorities.length === 1)
    expect(kept(machine.dataDir)).toEqual(before)
    expect(before.authorities).toEqual(auth.authorities.tlsHostAuthorities())
  })

  test('with a certificate that has run out joins again', async () => {
    const {tokenFor, machine} = await ready()
    await (await start({...machine, token: await tokenFor('proxy')})).stop()
    expect((await failure(start({...machine, ahead: 91 * day}))).code).toBe('config_invalid')
  })

  test.each(['', '{}', '{"version":2}', '{"version":1,"key":"x"}', 'not JSON'])(
    'does not replace an identity that reads %j',
    async text => {
      const {machine, tokenFor} = await ready()
      writeFileSync(join(machine.dataDir, 'identity.json'), text)
      const token = await tokenFor('proxy')
      expect((await failure(start({...machine, token}))).code).toBe('store_failed')
      expect(readFileSync(join(machine.dataDir, 'identity.json'), 'utf8')).toBe(text)
    },
  )

  test('takes the token from a file', async () => {
    const {machine, tokenFor} = await ready()
    const file = join(machine.dataDir, 'token')
    expect((await failure(start({...machine, token: file}))).message).toContain('cannot be read')
    writeFileSync(file, '\n')
    expect((await failure(start({...machine, token: file}))).message).toContain('holds no join token')
    writeFileSync(file, `  ${await tokenFor('proxy')}\n`)
    await (await start({...machine, token: file})).stop()
  })
})
