import {createPrivateKey, X509Certificate} from 'node:crypto'
import {once} from 'node:events'
import {readFileSync, writeFileSync} from 'node:fs'
import type {AddressInfo} from 'node:net'
import {join} from 'node:path'
import {checkServerIdentity, connect, createServer} from 'node:tls'
import fc from 'fast-check'
import {describe, expect, test} from 'vitest'
import {
  certifiableNames,
  createWebCertificate,
  createX509Authority,
  readCertificate,
} from '../../../src/lib/pki/index.js'
import {run} from '../../support/process.js'
import {temporaryDirectory} from '../../support/temporary-directory.js'

const day = 24 * 3600 * 1000
const now = Date.UTC(2030, 0, 2, 3, 4, 5)
const lifetimeMs = 365 * day

const opensslText = async (pem: string): Promise<string> => {
  const {stdout} = await run('openssl', ['x509', '-noout', '-text'], {input: pem})
  return stdout.toString()
}

describe('a certificate for HTTPS', () => {
  const names = ['box.example.com', 'localhost', '127.0.0.1', '::1', '2001:db8::a:1']

  test('says its names and its time', async () => {
    const {certificate} = await createWebCertificate({names, now, lifetimeMs})
    expect(readCertificate(certificate)).toEqual({
      notBefore: now - 60_000,
      notAfter: now + lifetimeMs,
      names,
    })
  })

  test('is signed by its own key and may sign nothing else', async () => {
    const {certificate, privateKey} = await createWebCertificate({names, now, lifetimeMs})
    const parsed = new X509Certificate(certificate)
    expect(parsed.verify(parsed.publicKey)).toBe(true)
    expect(parsed.checkPrivateKey(createPrivateKey(privateKey))).toBe(true)
    expect(parsed.ca).toBe(false)
    expect(parsed.publicKey.asymmetricKeyDetails).toEqual({namedCurve: 'prime256v1'})
    expect(BigInt(`0x${parsed.serialNumber}`)).toBeGreaterThan(0n)
  })

  test('is taken by a TLS client that trusts it, by each of its names, and by no other', async () => {
    const {certificate, privateKey} = await createWebCertificate({names, now: Date.now(), lifetimeMs})
    const server = createServer({cert: certificate, key: privateKey}, socket => socket.end()).listen(
      0,
      '127.0.0.1',
    )
    await once(server, 'listening')
    const {port} = server.address() as AddressInfo
    const handshake = async (name: string, trusted: {ca?: string}): Promise<string> => {
      const socket = connect({
        ...{host: '127.0.0.1', port, ...trusted},
        checkServerIdentity: (_host, peer) => checkServerIdentity(name, peer),
      })
      try {
        await once(socket, 'secureConnect')
        return 'trusted'
      } catch (error) {
        return (error as {code: string}).code
      } finally {
        socket.destroy()
      }
    }
    expect(await handshake('box.example.com', {ca: certificate})).toBe('trusted')
    expect(await handshake('127.0.0.1', {ca: certificate})).toBe('trusted')
    expect(await handshake('127.0.0.2', {ca: certificate})).toBe('ERR_TLS_CERT_ALTNAME_INVALID')
    expect(await handshake('other.example.com', {ca: certificate})).toBe('ERR_TLS_CERT_ALTNAME_INVALID')
    expect(await handshake('localhost', {})).toBe('DEPTH_ZERO_SELF_SIGNED_CERT')
    server.close()
  })

  test('is what openssl calls a server certificate, by strict rules', async () => {
    const {certificate} = await createWebCertificate({names, now: Date.now(), lifetimeMs})
    const path = join(temporaryDirectory(), 'cert.pem')
    writeFileSync(path, certificate)
    const rules = ['-x509_strict', '-purpose', 'sslserver', '-verify_hostname', 'localhost']
    const {code, stderr} = await run('openssl', ['verify', ...rules, '-CAfile', path, path])
    expect(stderr).toBe('')
    expect(code).toBe(0)
    const text = await opensslText(certificate)
    expect(text).toContain('TLS Web Server Authentication')
    expect(text).toContain('Subject Key Identifier')
  })

  test('has a key and a serial of its own each time', async () => {
    const made = await Promise.all([1, 2].map(() => createWebCertificate({names, now, lifetimeMs})))
    const serials = made.map(({certificate}) => new X509Certificate(certificate).serialNumber)
    expect(new Set(serials).size).toBe(2)
    expect(new Set(made.map(({privateKey}) => privateKey)).size).toBe(2)
  })

  test('is refused for no name, and for names that are none', async () => {
    const hostile = [
      '',
      '*',
      '*.example.com',
      'a b',
      'a,DNS:evil',
      'a\0b',
      'fe80::1%eth0',
      '-a',
      'é.example',
      'a..b',
    ]
    await expect(createWebCertificate({names: [], now, lifetimeMs})).rejects.toMatchObject({
      code: 'invalid_input',
    })
    for (const name of hostile) {
      await expect(createWebCertificate({names: [name], now, lifetimeMs}), name).rejects.toMatchObject({
        code: 'invalid_input',
      })
    }
  })

  test('keeps any IPv6 address as it is', async () => {
    await fc.assert(
      fc.asyncProperty(fc.ipV6(), async address => {
        const wanted = certifiableNames([address])
        const {certificate} = await createWebCertificate({names: [address], now, lifetimeMs})
        expect(readCertificate(certificate).names).toEqual(wanted)
      }),
      {numRuns: 50},
    )
  })

  test('outlives 2049, after which times are written in another form', async () => {
    const late = Date.UTC(2050, 5, 1)
    const {certificate} = await createWebCertificate({names, now: late, lifetimeMs})
    expect(readCertificate(certificate)).toMatchObject({
      notBefore: late - 60_000,
      notAfter: late + lifetimeMs,
    })
  })
})

test('names are brought into one spelling, and what cannot be certified is left out', () => {
  expect(
    certifiableNames([
      'Box.Example.COM.',
      'box.example.com',
      '::0001',
      '::1',
      'fe80::1%eth0',
      '',
      'a b',
      '10.0.0.1',
    ]),
  ).toEqual(['box.example.com', '::1', '10.0.0.1'])
})

describe('reading a certificate', () => {
  test('sees through a name made to look like two', async () => {
    const directory = temporaryDirectory()
    const [path, config] = [join(directory, 'cert.pem'), join(directory, 'openssl.cnf')]
    writeFileSync(
      config,
      ['[req]', 'distinguished_name=dn', '[dn]', '[ext]', 'subjectAltName=@names', '[names]']
        .concat(
          'DNS.1=good.example',
          'DNS.2="x, DNS:evil.example"',
          'URI.1="u:, DNS:evil.example"',
          'IP.1=::1',
        )
        .join('\n'),
    )
    const {code, stderr} = await run('openssl', [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'],
      ...['-keyout', join(directory, 'key.pem'), '-out', path, '-subj', '/CN=x'],
      ...['-config', config, '-extensions', 'ext'],
    ])
    expect(code, stderr).toBe(0)
    const pem = readFileSync(path, 'utf8')
    expect(new X509Certificate(pem).subjectAltName).toContain('DNS:evil.example')
    expect(readCertificate(pem).names).toEqual(['good.example', '::1'])
  })

  test('refuses what is none', () => {
    for (const text of ['', 'x', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n']) {
      expect(() => readCertificate(text)).toThrow(expect.objectContaining({code: 'invalid_input'}))
    }
  })
})

describe('an X.509 authority', () => {
  test('may sign leaf certificates and names the cluster', async () => {
    const {certificate, privateKey} = await createX509Authority({
      commonName: 'tls-host',
      organization: 'acme',
      now,
    })
    const parsed = new X509Certificate(certificate)
    expect(parsed.ca).toBe(true)
    expect(parsed.subject).toBe('CN=tls-host\nO=acme')
    expect(parsed.verify(parsed.publicKey)).toBe(true)
    expect(parsed.checkPrivateKey(createPrivateKey(privateKey))).toBe(true)
    const text = await opensslText(certificate)
    expect(text).toMatch(/CA:TRUE, pathlen:0/)
    expect(text).toMatch(/Certificate Sign, CRL Sign/)
  })
})
