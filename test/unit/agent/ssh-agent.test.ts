import {execFile} from 'node:child_process'
import {createPublicKey, generateKeyPairSync, type KeyObject, randomBytes} from 'node:crypto'
import {once} from 'node:events'
import {mkdtemp, rm, writeFile} from 'node:fs/promises'
import {createServer, type Server} from 'node:net'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {promisify} from 'node:util'
import {afterEach, beforeEach, describe, expect, it} from 'vitest'
import {type AgentClient, connectAgent} from '../../../src/lib/agent/client.js'
import {type AgentEntry, agentSigner, serveAgent, signerEntry} from '../../../src/lib/agent/index.js'
import type {SallyportError} from '../../../src/lib/errors/index.js'
import {
  fingerprint,
  formatAuthorizedKey,
  formatPrivateKey,
  issueCertificate,
  publicKeyBlob,
  signerFromKey,
  verifySignature,
} from '../../../src/lib/sshcert/index.js'

const run = promisify(execFile)

const keyMakers: Record<string, () => KeyObject> = {
  ed25519: () => generateKeyPairSync('ed25519').privateKey,
  'ecdsa P-256': () => generateKeyPairSync('ec', {namedCurve: 'P-256'}).privateKey,
  'ecdsa P-521': () => generateKeyPairSync('ec', {namedCurve: 'P-521'}).privateKey,
  rsa: () => generateKeyPairSync('rsa', {modulusLength: 2048}).privateKey,
}

async function userCertificate(key: KeyObject): Promise<Buffer> {
  const now = BigInt(Math.floor(Date.now() / 1000))
  const authority = signerFromKey(generateKeyPairSync('ed25519').privateKey)
  const fields = {kind: 'user' as const, serial: 1n, keyId: 'joe', principals: ['joe']}
  const validity = {validAfter: now - 60n, validBefore: now + 3600n}
  return issueCertificate({publicKey: publicKeyBlob(key), ...fields, ...validity}, authority)
}

let directory: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'agent-'))
})
afterEach(() => rm(directory, {recursive: true, force: true}))

describe("OpenSSH's ssh-agent", () => {
  let socketPath: string
  let pid: number
  let agent: AgentClient
  const sshAdd = async (...args: string[]): Promise<string> =>
    (await run('ssh-add', args, {env: {...process.env, SSH_AUTH_SOCK: socketPath}})).stdout

  beforeEach(async () => {
    socketPath = join(directory, 'agent.sock')
    const {stdout} = await run('ssh-agent', ['-s', '-a', socketPath])
    pid = Number(/SSH_AGENT_PID=(\d+)/.exec(stdout)?.[1])
    agent = await connectAgent(socketPath)
  })
  afterEach(() => {
    agent.close()
    process.kill(pid)
  })

  describe.each(Object.entries(keyMakers))('with an %s key', (_, makeKey) => {
    it('takes key and certificate, shows both to ssh-add, signs with both, and lets go of them', async () => {
      const key = makeKey()
      const plain = publicKeyBlob(key)
      const certificate = await userCertificate(key)
      await agent.add({privateKey: key, comment: 'the key'})
      await agent.add({privateKey: key, certificate, comment: 'the certificate'})

      const shown = await sshAdd('-L')
      expect(shown).toContain(`${certificate.toString('base64')} the certificate`)
      expect(shown).toContain(`${plain.toString('base64')} the key`)

      const data = randomBytes(64)
      for (const identity of await agent.list()) {
        const signer = agentSigner(agent, identity)
        expect(signer.publicBlob).toEqual(plain)
        expect(verifySignature(plain, data, await signer.sign(data))).toBe(true)
      }

      await agent.remove(certificate)
      expect(await agent.list()).toEqual([{blob: plain, comment: 'the key'}])
      await agent.remove(plain)
      expect(await agent.list()).toEqual([])
    })
  })

  it('forgets a key at the end of its lifetime', async () => {
    const [brief, lasting] = [1, 2].map(() => generateKeyPairSync('ed25519').privateKey)
    await agent.add({privateKey: brief as KeyObject, comment: 'brief', lifetimeSeconds: 1})
    await agent.add({privateKey: lasting as KeyObject, comment: 'lasting'})
    const held = async () => (await agent.list()).map(({comment}) => comment)
    await expect.poll(held).toEqual(['lasting'])
  })

  it('answers parallel requests each with its own answer', async () => {
    const keys = Array.from({length: 8}, () => generateKeyPairSync('ed25519').privateKey)
    await Promise.all(keys.map((privateKey, i) => agent.add({privateKey, comment: `key ${i}`})))
    const data = randomBytes(32)
    const signatures = await Promise.all(keys.map(key => agent.sign(publicKeyBlob(key), data, 0)))
    keys.forEach((key, i) => {
      expect(verifySignature(publicKeyBlob(key), data, signatures[i] ?? Buffer.alloc(0))).toBe(true)
    })
  })

  it('says that the agent refused when it holds no such key, and stays usable', async () => {
    const stranger = publicKeyBlob(generateKeyPairSync('ed25519').privateKey)
    await expect(agent.sign(stranger, Buffer.from('data'), 0)).rejects.toMatchObject({code: 'agent_required'})
    await expect(agent.remove(stranger)).rejects.toThrow('refused to remove this key')
    expect(await agent.list()).toEqual([])
  })

  it('asks for SHA-256 or SHA-512 of an RSA key by name, certificate algorithm names too', async () => {
    const key = generateKeyPairSync('rsa', {modulusLength: 2048}).privateKey
    await agent.add({privateKey: key, comment: 'rsa'})
    const signer = agentSigner(agent, {blob: publicKeyBlob(key), comment: ''})
    const data = randomBytes(32)
    for (const [asked, given] of [
      ['rsa-sha2-256', 'rsa-sha2-256'],
      ['rsa-sha2-512', 'rsa-sha2-512'],
      ['rsa-sha2-256-cert-v01@openssh.com', 'rsa-sha2-256'],
    ] as const)
      expect(verifySignature(signer.publicBlob, data, await signer.sign(data, asked), [given])).toBe(true)
    await expect(signer.sign(data, 'ssh-rsa')).rejects.toThrow('cannot make a ssh-rsa signature')
  })

  it('rejects what is under way when the agent dies, and everything after', async () => {
    const under = agent.list()
    process.kill(pid, 'SIGSTOP')
    const pending = agent.list()
    const outcome = expect(pending).rejects.toMatchObject({code: 'unavailable'})
    process.kill(pid, 'SIGKILL')
    await outcome
    await under.catch(() => {})
    await expect(agent.list()).rejects.toMatchObject({code: 'unavailable'})
    const restarted = await run('ssh-agent', ['-s', '-a', join(directory, 'other.sock')])
    pid = Number(/SSH_AGENT_PID=(\d+)/.exec(restarted.stdout)?.[1])
  })
})

describe('the in-process agent', () => {
  let server: Server
  let socketPath: string
  const problems: SallyportError[] = []
  const serve = async (entries: AgentEntry[]): Promise<void> => {
    problems.length = 0
    socketPath = join(directory, 'own.sock')
    server = createServer(socket => serveAgent(socket, entries, {onProblem: error => problems.push(error)}))
    server.listen(socketPath)
    await once(server, 'listening')
  }
  const sshAdd = (...args: string[]) =>
    run('ssh-add', args, {env: {...process.env, SSH_AUTH_SOCK: socketPath}}).then(
      ({stdout}) => ({ok: true, stdout}),
      (error: {stdout: string}) => ({ok: false, stdout: error.stdout}),
    )
  afterEach(() => server.close())

  it.each(Object.entries(keyMakers))('lists and signs with %s keys for ssh-add', async (_, makeKey) => {
    const key = makeKey()
    const certificate = await userCertificate(key)
    const signer = signerFromKey(key)
    await serve([signerEntry(signer, 'certified', certificate), signerEntry(signer, 'plain')])
    expect((await sshAdd('-l')).stdout).toContain(fingerprint(publicKeyBlob(key)))
    const [certified, plain] = (await sshAdd('-L')).stdout.split('\n')
    expect(certified).toBe(formatAuthorizedKey(certificate, 'certified'))
    // -T has the agent sign a challenge and verifies the answer. For RSA keys ssh-add asks for SHA-1.
    const works = !signer.publicBlob.includes('ssh-rsa')
    for (const line of [certified, plain]) {
      const publicFile = join(directory, 'shown.pub')
      await writeFile(publicFile, `${line}\n`)
      expect((await sshAdd('-T', publicFile)).ok).toBe(works)
    }
  })

  it('refuses to add, remove, lock or load a PKCS#11 provider, and serves on', async () => {
    const key = generateKeyPairSync('ed25519').privateKey
    await serve([signerEntry(signerFromKey(key), 'mine')])
    const keyFile = join(directory, 'other')
    await writeFile(keyFile, formatPrivateKey(generateKeyPairSync('ed25519').privateKey, 'other'), {
      mode: 0o600,
    })
    expect((await sshAdd(keyFile)).ok).toBe(false)
    expect((await sshAdd('-D')).ok).toBe(false)
    const client = await connectAgent(socketPath)
    await expect(client.remove(publicKeyBlob(key))).rejects.toMatchObject({code: 'agent_required'})
    await expect(client.add({privateKey: key, comment: 'again', lifetimeSeconds: 60})).rejects.toMatchObject({
      code: 'agent_required',
    })
    expect(await client.list()).toEqual([{blob: publicKeyBlob(createPublicKey(key)), comment: 'mine'}])
    client.close()
    expect(problems.length).toBeGreaterThanOrEqual(4)
    expect(problems.every(({code}) => code === 'access_denied')).toBe(true)
  })

  it('gives no SHA-1 signature', async () => {
    const key = generateKeyPairSync('rsa', {modulusLength: 2048}).privateKey
    await serve([signerEntry(signerFromKey(key), 'rsa')])
    const client = await connectAgent(socketPath)
    await expect(client.sign(publicKeyBlob(key), Buffer.from('x'), 0)).rejects.toMatchObject({
      code: 'agent_required',
    })
    client.close()
  })
})
