import {generateKeyPairSync} from 'node:crypto'
import {chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {beforeAll, beforeEach, describe, expect, it} from 'vitest'
import {writeCredentialFiles} from '../../../../src/lib/client/identity/credential-files.js'
import {loadIdentity} from '../../../../src/lib/client/identity/identity.js'
import {
  formatIdentity,
  parseIdentity,
  readIdentityFile,
  type StoredIdentity,
  writeIdentity,
} from '../../../../src/lib/client/identity/identity-file.js'
import {issueCertificate, parseCertificate, publicKeyBlob} from '../../../../src/lib/sshcert/index.js'
import {sshKeygen} from '../../../support/openssh.js'
import {temporaryDirectory} from '../../../support/temporary-directory.js'
import {hostAuthority, startCluster, userAuthority, userFields} from '../fixture.js'

let identity: StoredIdentity
let directory: string
beforeAll(async () => {
  const {privateKey} = generateKeyPairSync('ed25519')
  const certificate = await issueCertificate(
    userFields(publicKeyBlob(privateKey), 'joe', 3600),
    userAuthority,
  )
  identity = {privateKey, certificate, hostAuthorities: [hostAuthority.publicBlob], cluster: 'test'}
})
beforeEach(() => {
  directory = temporaryDirectory()
})

const comparable = ({privateKey, ...rest}: StoredIdentity) => ({...rest, key: publicKeyBlob(privateKey)})
const lines = () => formatIdentity(identity).split('\n')

describe('an identity file', () => {
  it('gives back what was written, 0600, and is a private key for ssh-keygen too', async () => {
    const out = join(directory, 'identity')
    expect(await writeIdentity(out, identity, {format: 'file', overwrite: false})).toEqual([out])
    expect(statSync(out).mode & 0o777).toBe(0o600)
    expect(comparable(await readIdentityFile(out))).toEqual(comparable(identity))
    expect(await sshKeygen(['-y', '-f', out])).toMatch(/^ssh-ed25519 /)
  })

  it('can be a key and its certificate as OpenSSH reads them', async () => {
    const out = join(directory, 'id')
    const files = await writeIdentity(out, identity, {format: 'openssh', overwrite: false})
    expect(files).toEqual([out, `${out}-cert.pub`])
    expect(await sshKeygen(['-L', '-f', `${out}-cert.pub`])).toContain('Key ID: "joe"')
    expect((await sshKeygen(['-y', '-f', out])).trim()).toMatch(/joe$/)
  })

  it.each<[string, () => string]>([
    ['nothing', () => ''],
    ['no key', () => lines().slice(-3).join('\n')],
    [
      'no certificate',
      () =>
        lines()
          .filter(line => !line.includes('-cert-v01@'))
          .join('\n'),
    ],
    [
      'no host authorities',
      () =>
        lines()
          .filter(line => !line.startsWith('@'))
          .join('\n'),
    ],
    ['hundreds of host authorities', () => [...lines(), ...Array(100).fill(lines().at(-2))].join('\n')],
    ['an authority that cannot be read', () => formatIdentity(identity).replace('*.test ', '')],
    [
      'another key',
      () => formatIdentity({...identity, privateKey: generateKeyPairSync('ed25519').privateKey}),
    ],
  ])('is refused with %s in it', (_, text) => {
    expect(() => parseIdentity(text())).toThrow(expect.objectContaining({code: 'invalid_input'}))
  })

  it('is refused when others can read it, and named when it is not there', async () => {
    const out = join(directory, 'identity')
    await expect(readIdentityFile(out)).rejects.toMatchObject({code: 'not_found'})
    await writeIdentity(out, identity, {format: 'file', overwrite: false})
    chmodSync(out, 0o640)
    await expect(readIdentityFile(out)).rejects.toMatchObject({hint: expect.stringContaining('chmod 600')})
  })

  it('is an identity to act with, given a proxy', async () => {
    const cluster = await startCluster()
    const out = join(directory, 'identity')
    await writeIdentity(out, identity, {format: 'file', overwrite: false})
    const proxy = {host: cluster.host, webPort: cluster.port}
    const loaded = await loadIdentity({identity: out, proxy, insecure: true})
    expect(loaded.profile).toMatchObject({user: 'joe', cluster: 'test', recording: 'proxy'})
    expect(loaded.profile.proxy).toMatchObject({sshHost: '127.0.0.1', sshPort: 3023})
    expect(loaded.signer.publicBlob).toEqual(publicKeyBlob(identity.privateKey))
    await expect(loadIdentity({identity: out})).rejects.toMatchObject({code: 'usage'})
    const after = () => Number(parseCertificate(identity.certificate).validBefore) * 1000
    await expect(loadIdentity({identity: out, proxy, now: after})).rejects.toMatchObject({
      code: 'certificate_expired',
    })
  })
})

describe('files that belong together', () => {
  const pair = (data: string) => [
    {path: join(directory, 'n'), data, mode: 0o600},
    {path: join(directory, 'n-cert.pub'), data: `${data} certificate`, mode: 0o644},
  ]
  const read = () =>
    readdirSync(directory)
      .sort()
      .map(name => `${name}: ${readFileSync(join(directory, name))}`)

  it('are written with their rights, and nothing else is left', async () => {
    await writeCredentialFiles(pair('one'), false)
    expect(read()).toEqual(['n: one', 'n-cert.pub: one certificate'])
    expect(statSync(join(directory, 'n')).mode & 0o777).toBe(0o600)
    expect(statSync(join(directory, 'n-cert.pub')).mode & 0o777).toBe(0o644)
  })

  it.each(['n', 'n-cert.pub'])('are not written at all when %s exists', async name => {
    writeFileSync(join(directory, name), 'mine')
    await expect(writeCredentialFiles(pair('one'), false)).rejects.toMatchObject({
      code: 'already_exists',
      message: `${join(directory, name)} exists`,
      hint: 'choose another name, or add --overwrite',
    })
    expect(read()).toEqual([`${name}: mine`])
  })

  it('are replaced together with overwrite', async () => {
    await writeCredentialFiles(pair('one'), false)
    await writeCredentialFiles(pair('two'), true)
    expect(read()).toEqual(['n: two', 'n-cert.pub: two certificate'])
  })

  it('are the old ones again when the second cannot be replaced', async () => {
    writeFileSync(join(directory, 'n'), 'old')
    mkdirSync(join(directory, 'n-cert.pub'))
    await expect(writeCredentialFiles(pair('new'), true)).rejects.toMatchObject({code: 'store_failed'})
    expect(readFileSync(join(directory, 'n'), 'utf8')).toBe('old')
    expect(readdirSync(directory).sort()).toEqual(['n', 'n-cert.pub'])
  })

  it('leave nothing where they cannot be written', async () => {
    const files = pair('one').map(file => ({
      ...file,
      path: file.path.replace(/n(-cert.pub)?$/, 'missing/$&'),
    }))
    await expect(writeCredentialFiles(files, false)).rejects.toMatchObject({code: 'store_failed'})
    expect(existsSync(join(directory, 'missing'))).toBe(false)
  })
})
