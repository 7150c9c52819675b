import {X509Certificate} from 'node:crypto'
import {chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync} from 'node:fs'
import {hostname} from 'node:os'
import {join} from 'node:path'
import {pino} from 'pino'
import {beforeEach, describe, expect, it} from 'vitest'
import {loadTls, type TlsOptions} from '../../../src/lib/web/tls.js'
import {temporaryDirectory} from '../../support/temporary-directory.js'
import {selfSignedPem} from './self-signed.js'

const day = 24 * 3600 * 1000
let dataDir: string
let log: string[]

beforeEach(() => {
  dataDir = join(temporaryDirectory(), 'data')
  log = []
})

const load = (changes: Partial<TlsOptions> = {}) =>
  loadTls({
    dataDir,
    logger: pino({level: 'warn'}, {write: line => void log.push(line)}),
    now: Date.now,
    ...changes,
  })

const serial = ({cert}: {cert: string}): string => new X509Certificate(cert).serialNumber

describe('without a configured certificate', () => {
  it('makes a self-signed one for this machine, its loopback and the names asked for', async () => {
    const tls = await load({names: ['sally.example', '192.0.2.1', '2001:db8::1']})
    expect(tls.selfSigned).toBe(true)
    const cert = new X509Certificate(tls.cert)
    for (const name of [hostname(), 'localhost', 'sally.example']) {
      expect(cert.checkHost(name, {subject: 'never'})).toBe(name)
    }
    for (const address of ['127.0.0.1', '::1', '192.0.2.1', '2001:db8::1']) {
      expect(cert.checkIP(address)).toBe(address)
    }
    expect(cert.checkHost('evil.example')).toBeUndefined()
    expect(cert.ca).toBe(false)
    expect(cert.verify(cert.publicKey)).toBe(true)
    expect(Date.parse(cert.validTo) - Date.now()).toBeLessThan(398 * day)
    expect(Date.parse(cert.validFrom)).toBeLessThan(Date.now())
  })

  it('keeps it private, in a private directory, and leaves nothing else behind', async () => {
    await load()
    expect(readdirSync(dataDir)).toEqual(['https.pem'])
    expect(statSync(join(dataDir, 'https.pem')).mode & 0o777).toBe(0o600)
    expect(statSync(dataDir).mode & 0o777).toBe(0o700)
  })

  it('uses the same one again', async () => {
    const first = await load({names: ['sally.example']})
    expect(await load({names: ['sally.example', 'sally.example']})).toEqual(first)
  })

  it('makes a new one, with a new key, less than 30 days before it expires', async () => {
    const first = await load()
    const expires = Date.parse(new X509Certificate(first.cert).validTo)
    expect(serial(await load({now: () => expires - 31 * day}))).toBe(serial(first))
    const next = await load({now: () => expires - 29 * day})
    expect(serial(next)).not.toBe(serial(first))
    expect(next.key).not.toBe(first.key)
    expect(Date.parse(new X509Certificate(next.cert).validTo)).toBeGreaterThan(expires + 300 * day)
  })

  it('makes a new one when the clock is before its time', async () => {
    const first = await load()
    expect(serial(await load({now: () => Date.now() - 10 * day}))).not.toBe(serial(first))
  })

  it.each([
    ['another name', ['b.example']],
    ['one more name', ['a.example', 'b.example']],
    ['one name fewer', []],
  ])('makes a new one for %s', async (_what, names) => {
    const first = await load({names: ['a.example']})
    expect(serial(await load({names}))).not.toBe(serial(first))
  })

  it.each([
    ['nothing', ''],
    ['garbage', 'garbage'],
    ['half of it', undefined],
  ])('makes a new one in place of %s', async (_what, content) => {
    const first = await load()
    const path = join(dataDir, 'https.pem')
    const whole = readFileSync(path, 'utf8')
    writeFileSync(path, content ?? whole.slice(0, whole.length / 2))
    const second = await load()
    expect(serial(second)).not.toBe(serial(first))
    expect(await load()).toEqual(second)
  })

  it('makes a new one in place of one whose key others could read', async () => {
    const first = await load()
    chmodSync(join(dataDir, 'https.pem'), 0o644)
    expect((await load()).key).not.toBe(first.key)
    expect(statSync(join(dataDir, 'https.pem')).mode & 0o777).toBe(0o600)
  })

  it('leaves out what is no name', async () => {
    const names = [
      'bad name',
      '',
      '*.example',
      'a,DNS:evil.example',
      `${'x'.repeat(64)}.example`,
      'ok.example',
    ]
    const {cert} = await load({names})
    const found = new X509Certificate(cert).subjectAltName ?? ''
    expect(found).toContain('DNS:ok.example')
    expect(found).not.toMatch(/bad|\*|evil|xxx/)
  })
})

describe('a configured certificate', () => {
  async function files(days = 30): Promise<{certFile: string; keyFile: string; cert: string; key: string}> {
    const directory = temporaryDirectory()
    const pem = await selfSignedPem(days)
    const [certFile, keyFile] = [join(directory, 'cert.pem'), join(directory, 'key.pem')]
    writeFileSync(certFile, pem.cert)
    writeFileSync(keyFile, pem.key, {mode: 0o600})
    return {certFile, keyFile, ...pem}
  }

  it('is used as it is, and nothing is made', async () => {
    const {cert, key, ...paths} = await files()
    expect(await load(paths)).toEqual({cert, key, selfSigned: true})
    expect(existsSync(dataDir)).toBe(false)
    expect(log).toEqual([])
  })

  it('is refused with a key that others can read', async () => {
    const paths = await files()
    for (const mode of [0o644, 0o640, 0o604, 0o660]) {
      chmodSync(paths.keyFile, mode)
      await expect(load(paths)).rejects.toMatchObject({
        code: 'config_invalid',
        message: expect.stringContaining('https_key_file'),
        hint: `run: chmod 600 ${paths.keyFile}`,
      })
    }
    chmodSync(paths.keyFile, 0o400)
    await expect(load(paths)).resolves.toBeDefined()
  })

  it('is refused with the key of another', async () => {
    const {certFile} = await files()
    const {keyFile} = await files()
    await expect(load({certFile, keyFile})).rejects.toMatchObject({
      code: 'config_invalid',
      message: expect.stringContaining('not the key of the certificate'),
    })
  })

  it.each(['certFile', 'keyFile'] as const)('is refused without its %s', async name => {
    const {certFile, keyFile} = await files()
    await expect(load({certFile, keyFile, [name]: undefined})).rejects.toMatchObject({
      code: 'config_invalid',
      message: expect.stringMatching(/https_(cert|key)_file is missing/),
    })
  })

  it.each([
    ['is not there', undefined, 'there is no such file'],
    ['is a directory', 'directory', 'it is a directory'],
    ['is empty', '', 'it holds no'],
    ['is garbage', 'garbage', 'it holds no'],
    ['is huge', 'x'.repeat(1024 * 1024 + 1), 'larger than 1 MB'],
  ])('says which file cannot be used, and why, when it %s', async (_what, content, reason) => {
    const good = await files()
    for (const [name, setting] of [
      ['certFile', 'https_cert_file'],
      ['keyFile', 'https_key_file'],
    ] as const) {
      const path = join(temporaryDirectory(), 'file')
      if (content === 'directory') mkdirSync(path, {mode: 0o700})
      else if (content !== undefined) writeFileSync(path, content, {mode: 0o600})
      const error = {
        code: 'config_invalid',
        message: expect.stringMatching(new RegExp(`${setting}.*${reason}`)),
      }
      await expect(load({...good, [name]: path})).rejects.toMatchObject(error)
    }
  })

  it.each([
    ['has expired', () => Date.now() + 40 * day, 'expired'],
    ['is not valid yet', () => Date.now() - 40 * day, 'not valid yet'],
  ])('is served with a warning when it %s', async (_what, now, words) => {
    const paths = await files()
    expect((await load({...paths, now})).cert).toBe(paths.cert)
    expect(log.join()).toContain(words)
  })
})
