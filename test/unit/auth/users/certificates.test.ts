import {randomUUID} from 'node:crypto'
import {writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {beforeAll, describe, expect, test} from 'vitest'
import {type Caller, createMachineKey} from '../../../../src/lib/auth/index.js'
import {parseAuthorizedKey, parseCertificate} from '../../../../src/lib/sshcert/index.js'
import {sshKeygen} from '../../../support/openssh.js'
import {temporaryDirectory} from '../../../support/temporary-directory.js'
import {type Auth, failure, newKeyLine, openAuth, signUp} from '../fixture.js'

const certificateOf = (line: string) => parseCertificate(parseAuthorizedKey(line).blob)
const day = 24 * 3600

let auth: Auth
beforeAll(async () => {
  auth = await openAuth()
  await signUp(auth)
})

describe('signing for a host', () => {
  test('gives exactly the principals asked for, for a year, and ssh-keygen agrees', async () => {
    const principals = ['web', 'web.acme.example', '127.0.0.1', '::1']
    const {certificate} = await auth.admin.signHost({principals, publicKey: newKeyLine()})
    const path = join(temporaryDirectory(), 'host-cert.pub')
    writeFileSync(path, `${certificate}\n`)
    const text = await sshKeygen(['-L', '-f', path])
    expect(text).toMatch(/host certificate/)
    expect(text).toMatch(
      /Principals:\s+web\s+web\.acme\.example\s+127\.0\.0\.1\s+::1\s+Critical Options: \(none\)/,
    )
    const {validBefore} = certificateOf(certificate)
    expect(Number(validBefore) - Math.floor(auth.clock.now / 1000)).toBe(365 * day)
    expect((await auth.events('cert.create'))[0]).toMatchObject({
      code: 'TC000I',
      cert_type: 'host',
      principals,
    })
  })

  test.each([
    ['any host', {principals: ['*']}],
    ['a pattern', {principals: ['*.acme.example']}],
    ['two hosts in one', {principals: ['a,b']}],
    ['nobody', {principals: []}],
    ['thousands', {principals: Array.from({length: 1000}, (_, index) => `web${index}`)}],
    ['a name with NUL', {principals: ['web\0']}],
    ['ever', {ttlSeconds: 11 * 366 * day}],
    ['no time', {ttlSeconds: 0}],
  ])('for %s is refused, and the refusal is on record', async (_, changes) => {
    const request = {principals: ['web'], publicKey: newKeyLine(), ...changes}
    const error = await failure(auth.admin.signHost(request))
    expect(error.code).toBe('invalid_input')
    expect((await auth.events())[0]).toMatchObject({event: 'cert.create', code: 'TC000W', success: false})
  })

  test('takes no certificate and no CA key for a host key', async () => {
    const {certificate} = await auth.admin.signHost({principals: ['web'], publicKey: newKeyLine()})
    const keys = (await auth.admin.listAuthorities()).map(({publicKey}) => publicKey)
    for (const publicKey of [certificate, ...keys]) {
      const error = await failure(auth.admin.signHost({principals: ['web'], publicKey}))
      expect(error.code, publicKey).toBe('invalid_input')
    }
  })
})

describe('signing for a user', () => {
  test('gives the logins of the user and no more, within the limit of the roles', async () => {
    const issued = await auth.admin.signUser({user: 'JOE', publicKey: newKeyLine(), ttlSeconds: 10 ** 9})
    const certificate = certificateOf(issued.certificate)
    expect(certificate).toMatchObject({keyId: 'joe', principals: ['joe', 'root']})
    expect(issued.validBefore - auth.clock.now).toBeLessThanOrEqual(30 * 3600 * 1000)
  })

  test('who does not exist is refused', async () => {
    expect((await failure(auth.admin.signUser({user: 'eve', publicKey: newKeyLine()}))).code).toBe(
      'not_found',
    )
  })
})

describe('the proxy', () => {
  const publicKey = parseAuthorizedKey(newKeyLine()).blob
  const issue = (principals: string[]) =>
    auth.service.as({kind: 'system', role: 'proxy'}).issueProxyHostCertificate({principals, publicKey})

  test('gets a certificate for a host name for a day at most, on record', async () => {
    const certificate = parseCertificate(await issue(['db1']))
    expect(certificate).toMatchObject({kind: 'host', principals: ['db1'], publicKey})
    expect(Number(certificate.validBefore) * 1000 - auth.clock.now).toBeLessThanOrEqual(day * 1000)
    expect((await auth.events())[0]).toMatchObject({event: 'cert.create', principals: ['db1']})
  })

  test.each(['*', '', 'a,b', 'a b', 'a\n'])('gets none for %j', async name => {
    expect((await failure(issue([name]))).code).toBe('invalid_input')
  })
})

describe('a node', () => {
  const hostId = '6f4c1a56-1f0e-4a8e-9a35-0d9c1c0d7c11'
  const publicKey = parseAuthorizedKey(newKeyLine()).blob
  const issue = (nodename: string, caller: Caller = {kind: 'system', role: 'node', hostId}) =>
    auth.service.as(caller).issueNodeHostCertificate({nodename, publicKey})

  test('gets a certificate for its own names, which says that it is a node, for a day, on record', async () => {
    const certificate = parseCertificate(await issue('DB1'))
    expect(certificate).toMatchObject({kind: 'host', publicKey})
    expect(certificate.principals).toEqual([
      ...[`${hostId}.acme.example`, hostId, 'db1.acme.example', 'db1', 'localhost', '127.0.0.1', '::1'],
    ])
    expect([...certificate.extensions]).toEqual([
      ['x-teleport-authority', 'acme.example'],
      ['x-teleport-role', 'Node'],
    ])
    expect(Number(certificate.validBefore) * 1000 - auth.clock.now).toBeLessThanOrEqual(day * 1000)
    expect((await auth.events())[0]).toMatchObject({event: 'cert.create', by: 'node', name: 'DB1'})
  })

  describe('of another machine', () => {
    const far = (id = hostId): Caller => ({
      kind: 'system',
      role: 'node',
      hostId: id,
      address: '192.0.2.8:4000',
    })
    const [firstId, secondId, withProxy] = [randomUUID(), randomUUID(), randomUUID()]
    const namesOf = async (nodename: string, caller = far()) =>
      parseCertificate(await issue(nodename, caller)).principals
    const ids = (id = hostId) => [`${id}.acme.example`, id, 'localhost', '127.0.0.1', '::1']
    const join = async (id: string, roles: ('node' | 'proxy')[] = ['node']) => {
      const {token} = await auth.admin.createToken({roles})
      const {publicKey: key} = createMachineKey()
      await auth.anonymous.join({token, hostId: id, nodename: 'x', roles, publicKey: key})
    }
    const beat = (id: string, hostname: string) =>
      auth.service.as(far(id)).heartbeat({id, subKind: 'node', hostname, labels: {}})

    test('gets the name that nobody else has', async () => {
      expect(await namesOf('db1')).toContain('db1')
    })

    test.each(['proxy.acme.example', 'acme.example', 'proxy'])('gets none of the cluster: %s', async name => {
      const principals = await namesOf(name)
      expect(principals).not.toContain('proxy.acme.example')
      expect(principals).not.toContain('acme.example')
    })

    test('gets the name of the proxy where it is on the same machine', async () => {
      await join(withProxy, ['node', 'proxy'])
      expect(await namesOf('proxy.acme.example', far(withProxy))).toContain('proxy.acme.example')
    })

    const register = (spec: {hostname: string; addr: string}) =>
      auth.admin.createResources({
        resources: [{kind: 'node', sub_kind: 'openssh', version: 'v1', metadata: {}, spec} as never],
      })

    test('gets no name of a registered host for its looking like a loopback address', async () => {
      await register({hostname: '127.web.example', addr: '192.0.2.9:22'})
      expect(await namesOf('127.web.example')).not.toContain('127.web.example')
    })

    test('gets neither name nor address of a registered host', async () => {
      await register({hostname: 'db1', addr: 'db1.example.com:22'})
      expect(await namesOf('DB1')).toEqual([...ids().slice(0, 2), 'db1.acme.example', ...ids().slice(2)])
      expect(await namesOf('db1.example.com')).not.toContain('db1.example.com')
    })

    test('gets the name of another node only when that has gone, or came later', async () => {
      await join(firstId)
      await beat(firstId, 'db7')
      auth.clock.now += 1000
      await join(secondId)
      await beat(secondId, 'db7')
      expect(await namesOf('db7', far(secondId))).not.toContain('db7')
      expect(await namesOf('db7', far(firstId))).toContain('db7')
      auth.clock.now += 11 * 60_000
      expect(await namesOf('db7', far(secondId))).toContain('db7')
    })
  })

  test.each(['', '*', 'a,b', 'a b', 'localhost', '127.0.0.1', '::1', '-a', 'a.', 'ä'])(
    'may not be called %j',
    async name => {
      expect((await failure(issue(name))).code).toBe('invalid_input')
      expect((await auth.events('cert.create'))[0]).toMatchObject({success: false})
    },
  )

  test.each(['7f4c1a56-1f0e-4a8e-9a35-0d9c1c0d7c11', '7F4C1A56-1f0e-4a8e-9a35-0d9c1c0d7c11.acme.example'])(
    'may not be called by the UUID of another one, %s',
    async name => {
      expect((await failure(issue(name))).code).toBe('access_denied')
    },
  )

  test.each<Caller>([
    {kind: 'system', role: 'node'},
    {kind: 'system', role: 'node', hostId: 'db2'},
    {kind: 'system', role: 'proxy', hostId},
  ])('is nobody as %j', async caller => {
    expect((await failure(issue('db1', caller))).code).toBe('access_denied')
  })
})

test('serial numbers are all different', async () => {
  const issued = await Promise.all(
    Array.from({length: 40}, () => auth.admin.signHost({principals: ['web'], publicKey: newKeyLine()})),
  )
  expect(new Set(issued.map(({certificate}) => certificateOf(certificate).serial)).size).toBe(40)
})

test('the export is what sshd and known_hosts take, for anybody', async () => {
  expect(await auth.anonymous.exportAuthorities({type: 'user'})).toMatch(
    /^cert-authority ssh-ed25519 \S+ clustername=acme\.example&type=user\n$/,
  )
  expect(await auth.anonymous.exportAuthorities({type: 'host'})).toMatch(
    /^@cert-authority \*\.acme\.example ssh-ed25519 \S+ clustername=acme\.example&type=host\n$/,
  )
  const other = {type: 'user', fingerprint: 'SHA256:nothing'} as const
  expect((await failure(auth.anonymous.exportAuthorities(other))).code).toBe('not_found')
})
