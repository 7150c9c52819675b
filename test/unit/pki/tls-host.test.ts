import {generateKeyPairSync, X509Certificate} from 'node:crypto'
import {once} from 'node:events'
import type {AddressInfo} from 'node:net'
import {connect, createServer, type TLSSocket} from 'node:tls'
import {beforeAll, describe, expect, test} from 'vitest'
import {openSqliteBackend} from '../../../src/lib/backend/index.js'
import {
  type Authorities,
  authorityPin,
  openAuthorities,
  parsePins,
  pinnedAuthority,
  readTlsHost,
  type TlsHostRole,
} from '../../../src/lib/pki/index.js'
import {atEnd} from '../../support/cleanup.js'
import {temporaryDirectory} from '../../support/temporary-directory.js'

const hostId = '6f4c1a56-1f0e-4a8e-9a35-0d9c1c0d7c11'
const hour = 3_600_000
const der = (pem: string): Buffer => new X509Certificate(pem).raw

async function newAuthorities(clusterName: string): Promise<Authorities> {
  const backend = await openSqliteBackend({path: `${temporaryDirectory()}/state.db`})
  atEnd(() => backend.close())
  return openAuthorities({backend, clusterName})
}

let ours: Authorities
let theirs: Authorities
beforeAll(async () => {
  ours = await newAuthorities('acme.example')
  // Of the same name, so that nothing but the key tells them apart.
  theirs = await newAuthorities('acme.example')
})

async function issue(role: TlsHostRole, authorities = ours, lifetimeMs = hour) {
  const {privateKey, publicKey} = generateKeyPairSync('ec', {namedCurve: 'prime256v1'})
  const cert = await authorities.issueTlsHost({role, hostId, publicKey, lifetimeMs})
  return {cert, key: privateKey.export({type: 'pkcs8', format: 'pem'}).toString()}
}

describe('the certificate of a role', () => {
  test.each(['auth', 'proxy', 'node'] as const)('says that its holder is %s, and where', async role => {
    const certificate = new X509Certificate((await issue(role)).cert)
    expect(readTlsHost(certificate)).toEqual({role, hostId, clusterName: 'acme.example'})
    const [authority = ''] = ours.tlsHostAuthorities()
    expect(certificate.checkIssued(new X509Certificate(authority))).toBe(true)
    expect(certificate.verify(new X509Certificate(authority).publicKey)).toBe(true)
  })

  test.each(['', 'x', hostId.toUpperCase(), `${hostId}\nOU=auth`])(
    'is not made for the machine %j',
    async id => {
      const {publicKey} = generateKeyPairSync('ec', {namedCurve: 'prime256v1'})
      const wish = {role: 'node', hostId: id, publicKey, lifetimeMs: hour} as const
      await expect(async () => ours.issueTlsHost(wish)).rejects.toMatchObject({code: 'invalid_input'})
    },
  )

  test.each([
    ['ed25519', generateKeyPairSync('ed25519').publicKey],
    ['P-384', generateKeyPairSync('ec', {namedCurve: 'secp384r1'}).publicKey],
    ['RSA', generateKeyPairSync('rsa', {modulusLength: 2048}).publicKey],
  ])('is not made for a key of %s', async (_, publicKey) => {
    await expect(async () =>
      ours.issueTlsHost({role: 'node', hostId, publicKey, lifetimeMs: hour}),
    ).rejects.toMatchObject({code: 'invalid_input'})
  })

  test('is read out of nothing else', () => {
    const [authority = ''] = ours.tlsHostAuthorities()
    expect(() => readTlsHost(new X509Certificate(authority))).toThrow(/no role/)
  })
})

describe('TLS between machines', () => {
  /** What came of a connection: who each side says the other is, or the error. */
  async function meet(server: TlsHostRole, client: TlsHostRole, trust = ours): Promise<string> {
    const ca = trust.tlsHostAuthorities()
    const accepted = createServer({...(await issue(server)), ca, requestCert: true, rejectUnauthorized: true})
    const peers: string[] = []
    accepted.on('secureConnection', (socket: TLSSocket) => {
      const peer = socket.getPeerX509Certificate()
      peers.push(peer ? readTlsHost(peer).role : 'nobody')
      socket.end()
    })
    accepted.on('tlsClientError', () => peers.push('refused'))
    accepted.listen(0, '127.0.0.1')
    await once(accepted, 'listening')
    const {port} = accepted.address() as AddressInfo
    const socket = connect({
      port,
      host: '127.0.0.1',
      ...(await issue(client)),
      ca,
      checkServerIdentity: () => undefined,
    })
    const end = await new Promise<string>(resolve => {
      socket.on('error', error => resolve((error as NodeJS.ErrnoException).code ?? error.message))
      socket.on('end', () => resolve('served'))
      socket.resume()
    })
    socket.destroy()
    await new Promise(resolve => accepted.close(resolve))
    return `${end}, ${peers.join()}`
  }

  test.each(['proxy', 'node'] as const)('a %s is a client of auth', async role => {
    expect(await meet('auth', role)).toBe(`served, ${role}`)
  })

  test('a node is no server, so it cannot stand in for auth', async () => {
    expect(await meet('node', 'proxy')).toMatch(/PURPOSE/)
  })

  test('auth is no client', async () => {
    expect(await meet('auth', 'auth')).toMatch(/refused/)
  })

  test("another cluster's authority of the same name is not believed", async () => {
    expect(await meet('auth', 'proxy', theirs)).toMatch(/SIGNATURE|ISSUER|VERIFY|SELF_SIGNED/)
  })
})

describe('pins', () => {
  const pin = 'a'.repeat(64)

  test.each([
    [`sha256:${pin}`, [`sha256:${pin}`]],
    [
      ` SHA256:${pin.toUpperCase()} , sha256:${'b'.repeat(64)},`,
      [`sha256:${pin}`, `sha256:${'b'.repeat(64)}`],
    ],
    [`sha256:${pin},sha256:${pin}`, [`sha256:${pin}`]],
  ])('%j are understood', (text, pins) => {
    expect(parsePins(text)).toEqual(pins)
  })

  test.each([
    '',
    ',',
    'sha256:',
    pin,
    `sha1:${pin}`,
    `sha256:${pin}a`,
    `sha256:${pin} sha256:${pin}`,
    `sha256:${pin},x`,
  ])('%j are none', text => {
    expect(() => parsePins(text)).toThrow(/no pin/)
  })

  test('find the authority in what the server shows', async () => {
    const [authority = ''] = ours.tlsHostAuthorities()
    const [other = ''] = theirs.tlsHostAuthorities()
    const leaf = der((await issue('auth')).cert)
    const chain = [leaf, der(authority)]
    const right = authorityPin(authority)
    const cases: [name: string, chain: Buffer[], pins: string[], found: boolean][] = [
      ['the pinned one', chain, [right], true],
      ['one of several pins', chain, [authorityPin(other), right], true],
      ['the pinned one among several', [leaf, der(other), der(authority)], [right], true],
      ['another pin', chain, [authorityPin(other)], false],
      ['no pin', chain, [], false],
      ['no authority', [leaf], [right], false],
      ['nothing', [], [right], false],
      [
        'the pinned one, which has not signed the leaf',
        [der((await issue('auth', theirs)).cert), der(authority)],
        [right],
        false,
      ],
      ['the pinned one as the leaf', [der(authority)], [right], false],
    ]
    expect(cases.map(([name, shown, pins]) => [name, pinnedAuthority(shown, pins) !== undefined])).toEqual(
      cases.map(([name, , , found]) => [name, found]),
    )
  })
})
