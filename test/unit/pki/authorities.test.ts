import {X509Certificate} from 'node:crypto'
import {chmodSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {describe, expect, test} from 'vitest'
import type {Authority} from '../../../src/lib/auth/contract.js'
import type {Backend} from '../../../src/lib/backend/index.js'
import {authorityTypes, openAuthorities} from '../../../src/lib/pki/index.js'
import {verifyRecordingHead} from '../../../src/lib/recording/index.js'
import {
  checkCertificate,
  fingerprint,
  formatAuthorizedKey,
  parseAuthorizedKey,
  parseCertificate,
  publicKeyFromBlob,
} from '../../../src/lib/sshcert/index.js'
import {sshKeygen} from '../../support/openssh.js'
import {temporaryDirectory} from '../../support/temporary-directory.js'
import {clusterName, ed25519Blob, now, open, openBackend, second} from './fixture.js'

const userRequest = () => ({
  user: 'alice',
  publicKey: ed25519Blob(),
  principals: ['root', 'alice'],
  validBefore: second + 3600n,
  extensions: new Map([['permit-pty', '']]),
})
const hostRequest = () => ({
  principals: ['web.acme.example', '::1'],
  publicKey: ed25519Blob(),
  keyId: 'web',
  validBefore: second + 3600n,
})

describe('the keys of the authorities', () => {
  test('are made once and are the same after a restart', async () => {
    const backend = await openBackend()
    const first = (await open(backend)).list()
    expect(first.map(({type}) => type)).toEqual([...authorityTypes])
    expect((await open(backend)).list()).toEqual(first)
  })

  test('are the same for all who make them at once', async () => {
    const backend = await openBackend()
    const all = await Promise.all(Array.from({length: 8}, () => open(backend)))
    const lists = all.map(authorities => JSON.stringify(authorities.list()))
    expect(new Set(lists).size).toBe(1)
    expect(JSON.stringify((await open(backend)).list())).toBe(lists[0])
  })

  test('are all different, and different in another cluster', async () => {
    const lists = await Promise.all([open(), open()])
    const prints = lists.flatMap(authorities => authorities.list().map(entry => entry.fingerprint))
    expect(new Set(prints).size).toBe(2 * authorityTypes.length)
  })

  test.each(['', 'x', '{}', '{"version":1,"keys":[]}', '{"version":2,"keys":{}}'])(
    'are never replaced because %j cannot be read',
    async damage => {
      const backend = await openBackend()
      await open(backend)
      const revision = await backend.put('authorities/keys', Buffer.from(damage))
      await expect(open(backend)).rejects.toMatchObject({code: 'store_failed'})
      expect((await backend.get('authorities/keys'))?.revision).toBe(revision)
    },
  )

  test('a key and the X.509 certificate of another are not taken for a pair', async () => {
    const backend = await openBackend()
    await open(backend)
    const stored = await readStored(backend)
    const [host, user] = [stored.keys['tls-host']?.[0], stored.keys['tls-user']?.[0]]
    if (!host || !user) throw new Error('no X.509 authorities')
    host.certificate = user.certificate
    await backend.put('authorities/keys', Buffer.from(JSON.stringify(stored)))
    await expect(open(backend)).rejects.toMatchObject({code: 'store_failed'})
  })

  test('never show in an error', async () => {
    const backend = await openBackend()
    await open(backend)
    const item = await backend.get('authorities/keys')
    await backend.put('authorities/keys', Buffer.from(`${item?.value.toString()}}`))
    const error = await open(backend).catch((thrown: Error) => thrown)
    expect(`${(error as Error).message}`).not.toMatch(/PRIVATE|[A-Za-z0-9+/]{40}/)
  })

  test('added during a rotation are trusted and exported, and the first goes on signing', async () => {
    const [backend, other] = [await openBackend(), await openBackend()]
    const before = (await open(backend)).publicKeys('user')
    const added = (await open(other)).publicKeys('user')
    const [own, others] = [await readStored(backend), await readStored(other)]
    own.keys.user?.push(...(others.keys.user ?? []))
    await backend.put('authorities/keys', Buffer.from(JSON.stringify(own)))
    const authorities = await open(backend)
    expect(authorities.publicKeys('user')).toEqual([...before, ...added])
    expect(authorities.export('user').match(/^cert-authority ssh-ed25519 .*\n/gm)).toHaveLength(2)
    const certificate = parseCertificate(await authorities.issueUser(userRequest()))
    expect(certificate.authority).toEqual(before[0])
  })

  test('do not open for a cluster name that would break a line of known_hosts', async () => {
    const backend = await openBackend()
    for (const name of ['', 'a b', 'a,*', '*', 'a\nb', '-a', 'a.', `a${'b'.repeat(253)}`]) {
      await expect(openAuthorities({backend, clusterName: name}), name).rejects.toMatchObject({
        code: 'invalid_input',
      })
    }
  })
})

interface StoredAuthorities {
  keys: Record<string, {certificate?: string | undefined}[]>
}

async function readStored(backend: Backend): Promise<StoredAuthorities> {
  const item = await backend.get('authorities/keys')
  return JSON.parse(item?.value.toString() ?? '') as StoredAuthorities
}

describe('a user certificate', () => {
  test('holds what was asked for, from a minute ago, and passes the checker', async () => {
    const authorities = await open()
    const request = {...userRequest(), criticalOptions: new Map([['source-address', '10.0.0.0/8']])}
    const certificate = parseCertificate(await authorities.issueUser(request))
    expect(certificate).toMatchObject({
      kind: 'user',
      keyId: 'alice',
      principals: ['root', 'alice'],
      validAfter: second - 60n,
      validBefore: second + 3600n,
      publicKey: request.publicKey,
      extensions: request.extensions,
      criticalOptions: request.criticalOptions,
    })
    const trusted = {principal: 'root', now, remoteAddress: '10.1.2.3'}
    const check = (type: 'user' | 'host' | 'openssh') => () =>
      checkCertificate(certificate, {kind: 'user', authorities: authorities.publicKeys(type), ...trusted})
    expect(check('user')).not.toThrow()
    expect(check('host')).toThrow()
    expect(check('openssh')).toThrow()
  })

  test('lives 30 hours at most, unless the caller knows better', async () => {
    const authorities = await open()
    const limit = second + 30n * 3600n
    const issue = (validBefore: bigint, maxTtlSeconds?: number) =>
      authorities.issueUser({
        ...userRequest(),
        validBefore,
        ...(maxTtlSeconds === undefined ? {} : {maxTtlSeconds}),
      })
    await expect(issue(limit)).resolves.toBeInstanceOf(Buffer)
    await expect(issue(limit + 1n)).rejects.toMatchObject({
      code: 'invalid_input',
      message: 'a user certificate may last 30 hours at most',
    })
    await expect(issue(limit + 1n, 31 * 3600)).resolves.toBeInstanceOf(Buffer)
    await expect(issue(second + 3601n, 3600)).rejects.toMatchObject({code: 'invalid_input'})
  })

  test('is read by ssh-keygen', async () => {
    const authorities = await open()
    const path = join(temporaryDirectory(), 'id-cert.pub')
    writeFileSync(path, `${formatAuthorizedKey(await authorities.issueUser(userRequest()))}\n`)
    const text = await sshKeygen(['-L', '-f', path])
    expect(text).toContain('Key ID: "alice"')
    expect(text).toContain(`Signing CA: ED25519 ${fingerprint(authorities.publicKeys('user')[0] as Buffer)}`)
    expect(text).toMatch(/Principals:\s+root\s+alice/)
    expect(text).toContain('permit-pty')
  })
})

describe('a host certificate', () => {
  test('names the cluster, and passes the checker for its names alone', async () => {
    const authorities = await open()
    const extensions = new Map([
      ['x-teleport-role', 'Proxy'],
      ['x-teleport-authority', 'another cluster'],
    ])
    const certificate = parseCertificate(await authorities.issueHost({...hostRequest(), extensions}))
    expect(certificate).toMatchObject({kind: 'host', keyId: 'web', validAfter: second - 60n})
    expect(certificate.extensions).toEqual(
      new Map([
        ['x-teleport-authority', clusterName],
        ['x-teleport-role', 'Proxy'],
      ]),
    )
    const policy = {kind: 'host', authorities: authorities.publicKeys('host'), now} as const
    expect(() => checkCertificate(certificate, {...policy, principal: '::1'})).not.toThrow()
    expect(() => checkCertificate(certificate, {...policy, principal: 'acme.example'})).toThrow()
  })

  test('lives ten years at most', async () => {
    const authorities = await open()
    const limit = second + 3650n * 86_400n
    const issue = (validBefore: bigint) => authorities.issueHost({...hostRequest(), validBefore})
    await expect(issue(limit)).resolves.toBeInstanceOf(Buffer)
    await expect(issue(limit + 1n)).rejects.toMatchObject({
      message: 'a host certificate may last 3650 days at most',
    })
  })
})

test('every certificate has a serial of its own, also from two services over one state', async () => {
  const backend = await openBackend()
  const both = [await open(backend), await open(backend)]
  const blobs = await Promise.all(
    Array.from({length: 60}, (_, index) => both[index % 2]?.issueHost(hostRequest()) ?? Buffer.alloc(0)),
  )
  expect(new Set(blobs.map(blob => parseCertificate(blob).serial)).size).toBe(60)
})

test('the seal of a recording verifies with the recording keys and no others', async () => {
  const authorities = await open()
  const signature = authorities.signRecordingHead('sid', 'ab12')
  const verify = (blobs: Buffer[], sid: string) =>
    verifyRecordingHead(blobs.map(publicKeyFromBlob), sid, 'ab12', signature)
  expect(verify(authorities.recordingPublicKeys(), 'sid')).toBe(true)
  expect(verify(authorities.recordingPublicKeys(), 'other')).toBe(false)
  expect(verify(authorities.publicKeys('user'), 'sid')).toBe(false)
})

describe('the export', () => {
  test.each([
    ['user', /^cert-authority ssh-ed25519 [\w+/=]+ clustername=acme\.example&type=user\n$/],
    ['openssh', /^cert-authority ssh-ed25519 [\w+/=]+ clustername=acme\.example&type=openssh\n$/],
    [
      'host',
      /^@cert-authority \*\.acme\.example ssh-ed25519 [\w+/=]+ clustername=acme\.example&type=host\n$/,
    ],
    ['recording', /^ssh-ed25519 [\w+/=]+ clustername=acme\.example&type=recording\n$/],
  ] as const)('of %s is one line', async (type, pattern) => {
    expect((await open()).export(type)).toMatch(pattern)
  })

  test.each(['tls-host', 'tls-user'] as const)('of %s is a PEM certificate', async type => {
    const authorities = await open()
    const pem = authorities.export(type)
    expect(pem).toMatch(/-----END CERTIFICATE-----\n$/)
    expect(new X509Certificate(pem)).toMatchObject({
      ca: true,
      subject: `CN=${clusterName} ${type.slice(4)} CA\nO=${clusterName}`,
    })
  })

  test('finds a key by fingerprint, and says when there is none', async () => {
    const authorities = await open()
    for (const {type, fingerprint: print} of authorities.list()) {
      expect(authorities.export(type, {fingerprint: print})).toBe(authorities.export(type))
    }
    const [, host] = authorities.list() as [Authority, Authority]
    for (const wrong of [host.fingerprint, '', 'SHA256:']) {
      expect(() => authorities.export('user', {fingerprint: wrong})).toThrow(
        expect.objectContaining({code: 'not_found'}),
      )
    }
  })

  test('of host, put into known_hosts, is found by ssh-keygen for hosts of the cluster alone', async () => {
    const path = join(temporaryDirectory(), 'known_hosts')
    writeFileSync(path, (await open()).export('host'))
    expect(await sshKeygen(['-F', `web.${clusterName}`, '-f', path])).toContain('CA')
    await expect(sshKeygen(['-F', 'web.example.org', '-f', path])).rejects.toThrow()
  })
})

test('the list gives every key with the fingerprint that ssh-keygen prints', async () => {
  const directory = temporaryDirectory()
  for (const {type, publicKey, fingerprint: print} of (await open()).list()) {
    const path = join(directory, `${type}.pub`)
    writeFileSync(path, `${publicKey}\n`)
    chmodSync(path, 0o600)
    expect(await sshKeygen(['-l', '-f', path])).toContain(
      ` ${print} clustername=${clusterName}&type=${type} `,
    )
    expect(fingerprint(parseAuthorizedKey(readFileSync(path, 'utf8')).blob)).toBe(print)
  }
})

test('what is handed out cannot change what is trusted', async () => {
  const authorities = await open()
  authorities.publicKeys('user')[0]?.fill(0)
  expect(authorities.publicKeys('user')[0]?.equals(Buffer.alloc(51))).toBe(false)
})
