import {randomBytes} from 'node:crypto'
import {writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {describe, expect, test, vi} from 'vitest'
import type {AcceptOptions} from '../../src/lib/ssh/index.js'
import {
  formatAuthorizedKey,
  formatPrivateKey,
  hostCertificateAlgorithms,
  publicKeyBlob,
  signerFromKey,
} from '../../src/lib/sshcert/index.js'
import {clientOptions, ssh, sshAdd, startAgent, writePrivateFile} from '../support/openssh.js'
import {run} from '../support/process.js'
import {type ShellServer, startShellServer} from '../support/shell-server.js'
import {temporaryDirectory} from '../support/temporary-directory.js'
import {certify, hostAuthority, hostIdentity, judgeUser, type KeyType, newKey} from '../unit/ssh/fixture.js'

const directory = temporaryDirectory()
const trustedHosts = join(directory, 'known_hosts')
writeFileSync(trustedHosts, `@cert-authority * ${formatAuthorizedKey(hostAuthority.publicBlob)}\n`)

/** A key file and its certificate, as ssh takes them. */
async function identityFiles(
  type: KeyType,
  key = newKey(type),
): Promise<{identity: string; certificate: string}> {
  const identity = writePrivateFile(
    join(directory, `id_${type}_${randomBytes(4).toString('hex')}`),
    formatPrivateKey(key, 'me'),
  )
  const certificate = `${identity}-cert.pub`
  writeFileSync(certificate, `${formatAuthorizedKey(await certify(key, 'user'))}\n`)
  return {identity, certificate}
}

const user = await identityFiles('ed25519')

const serverWith = async (options: Partial<AcceptOptions> = {}): Promise<ShellServer> =>
  startShellServer({
    hostKeys: [await hostIdentity()],
    judge: judgeUser,
    graceMilliseconds: 10_000,
    ...options,
  })

const server = await serverWith()

/** Options under which the host must show a certificate of our authority for `target.test`. */
const optionsFor = (port: number, files = user): string[] => [
  ...clientOptions({port, knownHosts: trustedHosts, ...files}),
  '-o',
  'HostKeyAlias=target.test',
]
const options = optionsFor(server.port)
const host = 'root@127.0.0.1'

describe('the stock ssh client', () => {
  const types: KeyType[] = ['ed25519', 'ecdsa', 'rsa']
  const pairs = types.flatMap(mine => types.map(theirs => [mine, theirs] as const))
  test.each(pairs)(
    'logs in by a certificate over an %s key where the host has one over an %s key',
    async (mine, theirs) => {
      const {port} = await serverWith({hostKeys: [await hostIdentity(theirs)]})
      const result = await ssh(
        [...optionsFor(port, await identityFiles(mine)), host, 'cat; echo oh >&2; exit 3'],
        {
          input: 'hello',
        },
      )
      expect({...result, stdout: result.stdout.toString()}).toEqual({
        stdout: 'hello',
        stderr: 'oh\n',
        code: 3,
      })
    },
  )

  test.each(hostCertificateAlgorithms.filter(name => name.startsWith('rsa')))(
    'believes a certificate under %s',
    async algorithm => {
      const {port} = await serverWith({hostKeys: [await hostIdentity('rsa')]})
      const result = await ssh([...optionsFor(port), '-o', `HostKeyAlgorithms=${algorithm}`, host, 'echo in'])
      expect(result).toMatchObject({code: 0, stderr: ''})
    },
  )

  test('refuses a host that has a plain key, a certificate of a stranger or for another name', async () => {
    const key = newKey()
    const identities = [
      {privateKey: key, publicBlob: publicKeyBlob(key)},
      {privateKey: key, publicBlob: await certify(key, 'host', {}, signerFromKey(newKey()))},
      {privateKey: key, publicBlob: await certify(key, 'host', {principals: ['other.test']})},
    ]
    for (const identity of identities) {
      const {port, connections} = await serverWith({hostKeys: [identity]})
      const result = await ssh([...optionsFor(port), host, 'true'])
      expect(result.code).toBe(255)
      expect(result.stderr).toMatch(/Host key verification failed|no hostkey alg|No .* host key is known/)
      expect(connections).toEqual([])
    }
  })

  test('refuses a host that stole a certificate', async () => {
    const stolen = {privateKey: newKey(), publicBlob: (await hostIdentity()).publicBlob}
    const {port} = await serverWith({hostKeys: [stolen]})
    const result = await ssh([...optionsFor(port), host, 'true'])
    expect(result.code).toBe(255)
    expect(result.stderr).toMatch(/signature|incorrect/)
  })

  test('logs in by an agent that holds a dozen other keys before the right one', async () => {
    const agent = await startAgent(temporaryDirectory())
    for (let index = 0; index < 12; index++) {
      const file = writePrivateFile(join(directory, `other_${index}`), formatPrivateKey(newKey(), `${index}`))
      await sshAdd(['-q', file], {env: agent.env})
    }
    await sshAdd(['-q', user.identity], {env: agent.env})
    const viaAgent = [
      ...clientOptions({port: server.port, knownHosts: trustedHosts}),
      '-o',
      'HostKeyAlias=target.test',
    ]
    const result = await ssh([...viaAgent, host, 'echo in'], {env: agent.env})
    expect(result).toMatchObject({code: 0, stderr: ''})
    await agent.stop()
  })

  test('shows the user why the certificate is refused', async () => {
    const result = await ssh([...options, 'somebody@127.0.0.1', 'true'])
    expect(result.code).toBe(255)
    expect(result.stderr).toContain(
      'sallyport: certificate rejected: "somebody" is not among its principals (root) [certificate_rejected]',
    )
    expect(result.stderr).toContain('Permission denied (publickey)')
  })

  test('gets nowhere with a plain key or a password', async () => {
    const identity = writePrivateFile(join(directory, 'plain'), formatPrivateKey(newKey(), 'plain'))
    const result = await ssh([...clientOptions({port: server.port, identity}), host, 'true'])
    expect(result.stderr).toContain('Permission denied (publickey).')
  })

  test.each([
    'aes128-gcm@openssh.com',
    'aes256-gcm@openssh.com',
    'chacha20-poly1305@openssh.com',
    'aes128-ctr',
    'aes256-ctr',
  ])('carries 4 MB each way under %s', async cipher => {
    const data = randomBytes(4_000_000)
    const result = await ssh([...options, '-o', `Ciphers=${cipher}`, host, 'cat'], {input: data})
    expect(result.stdout.equals(data)).toBe(true)
  })

  test('exchanges keys every megabyte, up and down', async () => {
    const data = randomBytes(12_000_000)
    const result = await ssh([...options, '-o', 'RekeyLimit=1M', host, 'cat'], {input: data})
    expect(result.stdout.equals(data)).toBe(true)
    expect(result.stderr).toBe('')
  })

  test('takes new keys when we want them', async () => {
    const {port} = await serverWith({rekey: {bytes: 1_000_000, milliseconds: 1e9}})
    const data = randomBytes(12_000_000)
    const result = await ssh([...optionsFor(port), host, 'cat'], {input: data})
    expect(result.stdout.equals(data)).toBe(true)
    expect(result.stderr).toBe('')
  })

  test('gets both outputs whole, beyond the window', async () => {
    const size = 8_000_000
    const command = `head -c ${size} /dev/zero | tr '\\0' e >&2 & head -c ${size} /dev/zero | tr '\\0' o; wait`
    const {stdout, stderr, code} = await ssh([...options, host, command])
    expect(code).toBe(0)
    expect(stdout.equals(Buffer.alloc(size, 'o')) && stderr === 'e'.repeat(size)).toBe(true)
  })

  test('says that nobody reads any more: `yes` ends with `head`', async () => {
    const before = server.requests.length
    const quoted = [...options, host, 'yes'].map(word => `'${word}'`).join(' ')
    const result = await run('sh', ['-c', `ssh ${quoted} | head -1`], {deadline: 10_000})
    expect(result.stdout.toString()).toBe('y\n')
    await vi.waitFor(() => expect(server.requests.slice(before)).toContain('eow@openssh.com'))
  })

  test('asks whether we are alive and is told so', async () => {
    const alive = ['-o', 'ServerAliveInterval=1', '-o', 'ServerAliveCountMax=1']
    const result = await ssh([...options, ...alive, host, 'sleep 2.5; echo done'])
    expect(result).toMatchObject({code: 0, stderr: ''})
  })

  test('learns of a signal that ended the command', async () => {
    const result = await ssh([...options, host, 'kill -TERM $$'])
    expect(result.code).toBe(255)
  })

  test('has many sessions on one connection (ControlMaster)', async () => {
    const socket = join(directory, 'control')
    const shared = [...options, '-o', `ControlPath=${socket}`]
    const before = server.connections.length
    expect(
      (await ssh([...shared, '-o', 'ControlMaster=yes', '-o', 'ControlPersist=30', '-f', '-N', host])).code,
    ).toBe(0)
    const runs = Array.from({length: 8}, (_, index) => ssh([...shared, host, `sleep 0.1; echo ${index}`]))
    const outputs = (await Promise.all(runs)).map(({stdout}) => stdout.toString())
    expect(outputs).toEqual(Array.from({length: 8}, (_, index) => `${index}\n`))
    expect(server.connections.length - before).toBe(1)
    expect((await ssh([...shared, '-O', 'exit', host])).code).toBe(0)
    expect(await server.connections.at(-1)?.closed).toBeUndefined()
  })

  test('sends a command as long as a packet holds', async () => {
    const text = 'x'.repeat(30_000)
    const result = await ssh([...options, host, `echo ${text} | wc -c`])
    expect(result.stdout.toString().trim()).toBe('30001')
  })

  test('is told why when it is cut off', async () => {
    const result = await ssh([...options, '-o', 'LogLevel=INFO', host, `echo ${'x'.repeat(100_000)}`])
    expect(result.code).toBe(255)
    expect(result.stderr).toMatch(/sallyport: bad packet length.* \[protocol_error\]/)
  })

  test('is put out when it does not log in in time', async () => {
    const {port, failures} = await serverWith({
      graceMilliseconds: 300,
      judge: () => new Promise(() => undefined),
    })
    const result = await ssh([...optionsFor(port), host, 'true'])
    expect(result.code).toBe(255)
    await vi.waitFor(() => expect(failures).toEqual([expect.objectContaining({code: 'timeout'})]))
  })
})
