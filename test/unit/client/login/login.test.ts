import {generateKeyPairSync} from 'node:crypto'
import {chmodSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync} from 'node:fs'
import {createServer} from 'node:net'
import {join} from 'node:path'
import {beforeAll, beforeEach, describe, expect, it} from 'vitest'
import {connectAgent, serveAgent} from '../../../../src/lib/agent/index.js'
import {webApi} from '../../../../src/lib/client/api/web-api.js'
import {loadIdentity} from '../../../../src/lib/client/identity/identity.js'
import type {Keychain} from '../../../../src/lib/client/identity/keychain.js'
import {findProfile, listProfiles, profilePaths} from '../../../../src/lib/client/identity/profile.js'
import {type AgentChoice, keepLogin, logIn, sshAddress} from '../../../../src/lib/client/login/login.js'
import {logOut} from '../../../../src/lib/client/login/logout.js'
import {problem} from '../../../../src/lib/errors/index.js'
import {
  formatAuthorizedKey,
  parseAuthorizedKey,
  parseCertificate,
  publicKeyBlob,
  verifySignature,
} from '../../../../src/lib/sshcert/index.js'
import {atEnd} from '../../../support/cleanup.js'
import {type Agent, sshAdd, sshKeygen, startAgent} from '../../../support/openssh.js'
import {temporaryDirectory} from '../../../support/temporary-directory.js'
import {
  anotherKey,
  type ClusterOptions,
  hostAuthority,
  otp,
  password,
  startCluster,
  type TestCluster,
} from '../fixture.js'

const now = () => Date.now()

function memoryKeychain(): Keychain & {secrets: Map<string, string>} {
  const secrets = new Map<string, string>()
  return {
    secrets,
    set: async (account, secret) => void secrets.set(account, secret),
    get: async account => secrets.get(account),
    delete: async account => void secrets.delete(account),
  }
}

const brokenKeychain: Keychain = {
  set: () => Promise.reject(problem('unavailable', 'the keychain cannot be used: no D-Bus')),
  get: () => Promise.reject(problem('unavailable', 'the keychain cannot be used: no D-Bus')),
  delete: () => Promise.reject(problem('unavailable', 'the keychain cannot be used: no D-Bus')),
}

let home: string
let notices: string[]
let keychain: Keychain
beforeEach(() => {
  home = join(temporaryDirectory(), 'home')
  notices = []
  keychain = memoryKeychain()
})

interface LoginChoices {
  user?: string
  keyStore?: 'auto' | 'keychain' | 'file'
  agent?: AgentChoice
  agentSocket?: string
  ttlSeconds?: number
}

async function login(cluster: TestCluster, choices: LoginChoices = {}) {
  const {user = 'joe', keyStore = 'file', agent = 'auto', agentSocket, ttlSeconds} = choices
  const credentials = {user, password: async () => password, otp: async () => otp}
  const issued = await logIn(
    webApi({...cluster, insecure: true}),
    {...credentials, ...(ttlSeconds === undefined ? {} : {ttlSeconds})},
    now,
  )
  const address = {host: cluster.host, webPort: cluster.port}
  const storage = {home, keychain, notice: (line: string) => void notices.push(line)}
  return keepLogin(issued, {...storage, address, keyStore, agent, agentSocket, now})
}

const context = (agentSocket?: string) => ({
  ...{home, keychain, agentSocket},
  notice: (line: string) => void notices.push(line),
})

describe('logging in', () => {
  const attempt = async (options: ClusterOptions, user = 'joe') => {
    const cluster = await startCluster(options)
    const credentials = {user, password: async () => password, otp: async () => otp}
    return logIn(webApi({...cluster, insecure: true}), credentials, now)
  }

  it('makes a fresh Ed25519 key and takes the certificate for it', async () => {
    const [first, second] = [await attempt({}), await attempt({})]
    expect(first.privateKey.asymmetricKeyType).toBe('ed25519')
    expect(publicKeyBlob(first.privateKey)).not.toEqual(publicKeyBlob(second.privateKey))
    expect(parseCertificate(first.certificate).publicKey).toEqual(publicKeyBlob(first.privateKey))
    expect(first.hostAuthorities).toEqual([hostAuthority.publicBlob])
  })

  it('asks for a code only where the cluster wants one', async () => {
    const noOtp = () => Promise.reject(new Error('nobody was to be asked'))
    const plain = await startCluster()
    await logIn(
      webApi({...plain, insecure: true}),
      {user: 'joe', password: async () => password, otp: noOtp},
      now,
    )
    const strict = await startCluster({secondFactor: 'otp'})
    const asked = {user: 'joe', password: async () => password, otp: async () => otp}
    await logIn(webApi({...strict, insecure: true}), asked, now)
    expect([plain.requests[0]?.otp, strict.requests[0]?.otp]).toEqual([undefined, otp])
  })

  it('asks for no password before the proxy has answered', async () => {
    const api = webApi({host: '127.0.0.1', port: 1, insecure: true})
    const never = () => Promise.reject(new Error('nobody was to be asked'))
    await expect(logIn(api, {user: 'joe', password: never, otp: never}, now)).rejects.toMatchObject({
      code: 'proxy_unreachable',
    })
  })

  it.each([
    [61_500, 'behind'],
    [-61_500, 'ahead of'],
  ])('refuses a clock that is %i ms off', async (clockAheadMs, direction) => {
    await expect(attempt({clockAheadMs})).rejects.toMatchObject({
      code: 'clock_skew',
      message: expect.stringMatching(new RegExp(`the clock here is 6[12] s ${direction} the proxy's`)),
    })
  })

  it('bears a clock that is less than a minute off', async () => {
    await expect(attempt({clockAheadMs: 50_000})).resolves.toBeDefined()
    await expect(attempt({clockAheadMs: -50_000})).resolves.toBeDefined()
  })

  it('refuses a certificate for another key', async () => {
    const fields: ClusterOptions['fields'] = given => ({...given, publicKey: anotherKey()})
    await expect(attempt({fields})).rejects.toMatchObject({code: 'certificate_rejected'})
  })

  it('takes the name as the cluster writes it', async () => {
    const spelled = {
      fields: (fields: Parameters<NonNullable<ClusterOptions['fields']>>[0]) => ({...fields, keyId: 'joe'}),
      answer: (issued: Parameters<NonNullable<ClusterOptions['answer']>>[0]) => ({...issued, user: 'joe'}),
    }
    expect((await attempt(spelled, 'Joe')).user).toBe('joe')
  })
})

describe('the address of SSH', () => {
  const ping = (ssh: {listen_addr: string; public_addr?: string}) => ({
    ...{clusterName: 'c', version: '1', secondFactor: 'off' as const, recording: 'proxy' as const, time: 0},
    proxy: {ssh},
  })
  const proxy = {host: 'proxy', webPort: 3080}
  it('is what the user says, else what the proxy announces, else where it listens', () => {
    const both = ping({listen_addr: '0.0.0.0:3023', public_addr: 'ssh.example.com'})
    expect(sshAddress(both, {...proxy, sshPort: 22})).toEqual({host: 'proxy', port: 22})
    expect(sshAddress(both, proxy)).toEqual({host: 'ssh.example.com', port: 3023})
    expect(sshAddress(ping({listen_addr: '0.0.0.0:3023', public_addr: 'p:9'}), proxy)).toEqual({
      host: 'p',
      port: 9,
    })
    for (const bare of ['::1', '[::1]'])
      expect(sshAddress(ping({listen_addr: '[::]:3023', public_addr: bare}), proxy)).toEqual({
        host: '::1',
        port: 3023,
      })
    expect(sshAddress(ping({listen_addr: '[::]:3023'}), proxy)).toEqual({host: 'proxy', port: 3023})
    expect(sshAddress(ping({listen_addr: '10.0.0.7:3023'}), proxy)).toEqual({host: '10.0.0.7', port: 3023})
  })
})

describe('a kept login', () => {
  let cluster: TestCluster
  let agent: Agent
  beforeAll(async () => {
    cluster = await startCluster()
  })
  beforeEach(async () => {
    agent = await startAgent(temporaryDirectory())
  })
  const shown = async () => (await sshAdd(['-L'], {env: agent.env})).stdout.toString('utf8')

  it('is a private profile with what stock clients read', async () => {
    const profile = await login(cluster)
    const paths = profilePaths(home, profile)
    expect(statSync(paths.privateKey).mode & 0o777).toBe(0o600)
    expect(statSync(home).mode & 0o777).toBe(0o700)
    expect(await sshKeygen(['-L', '-f', paths.certificate])).toContain('Key ID: "joe"')
    expect((await sshKeygen(['-y', '-f', paths.privateKey])).split(' ')[1]).toBe(
      readFileSync(paths.publicKey, 'utf8').split(' ')[1],
    )
    expect(readFileSync(paths.knownHosts, 'utf8')).toBe(
      `@cert-authority * ${formatAuthorizedKey(hostAuthority.publicBlob, 'host CA of test')}\n`,
    )
    expect(profile.proxy).toEqual({
      host: '127.0.0.1',
      webPort: cluster.port,
      sshHost: '127.0.0.1',
      sshPort: 3023,
    })
  })

  it('has its certificate in the ssh-agent until it expires', async () => {
    const profile = await login(cluster, {agentSocket: agent.socket})
    expect(await shown()).toBe(`${profile.certificate.replace(/ joe$/, '')} sallyport:test:joe\n`)
    await login(cluster, {agentSocket: agent.socket, ttlSeconds: 2})
    await expect.poll(shown, {interval: 250}).toBe('The agent has no identities.\n')
  })

  it('takes the place of the older entry and of no other', async () => {
    const other = await startCluster({clusterName: 'other'})
    await login(other, {agentSocket: agent.socket})
    await login(cluster, {agentSocket: agent.socket, user: 'ann'})
    const mine = await connectAgent(agent.socket)
    const {privateKey} = generateKeyPairSync('ed25519')
    await mine.add({privateKey, comment: 'sallyport:test:joe'})
    await login(cluster, {agentSocket: agent.socket})
    const second = await login(cluster, {agentSocket: agent.socket})
    const held = await mine.list()
    mine.close()
    expect(held.map(({comment}) => comment).sort()).toEqual([
      ...['sallyport:other:joe', 'sallyport:test:ann', 'sallyport:test:joe', 'sallyport:test:joe'],
    ])
    // Of ours only the newest is left; a plain key under our name is not ours.
    const ours = held.filter(({comment}) => comment === 'sallyport:test:joe').map(({blob}) => blob)
    expect(ours).toEqual([publicKeyBlob(privateKey), parseAuthorizedKey(second.certificate).blob])
  })

  it('does without an agent, and says where the key went', async () => {
    expect((await login(cluster, {keyStore: 'auto'})).keyStore).toBe('file')
    expect(notices).toEqual([expect.stringMatching(/^the private key is kept in .*: no ssh-agent holds it/)])
    await expect(login(cluster, {agent: 'yes'})).rejects.toMatchObject({code: 'agent_required'})
    await expect(login(cluster, {agent: 'only'})).rejects.toMatchObject({code: 'agent_required'})
  })

  it('goes on when the agent is dead, or cannot hold certificates, and says so', async () => {
    const dead = join(temporaryDirectory(), 'dead.sock')
    expect((await login(cluster, {agentSocket: dead})).keyStore).toBe('file')
    expect(notices.pop()).toContain('cannot reach the ssh-agent at')

    const refusing = join(temporaryDirectory(), 'refusing.sock')
    const server = createServer(socket => serveAgent(socket, []))
    await new Promise<void>(resolve => server.listen(refusing, resolve))
    atEnd(() => void server.close())
    await login(cluster, {agentSocket: refusing})
    expect(notices.pop()).toMatch(
      /did not take the certificate: .*; gnome-keyring and gpg-agent cannot; use OpenSSH/,
    )
    await expect(login(cluster, {agentSocket: refusing, agent: 'yes'})).rejects.toMatchObject({
      code: 'agent_required',
    })
  })

  it('leaves the agent alone with -k no', async () => {
    await login(cluster, {agentSocket: agent.socket, agent: 'no'})
    expect(await shown()).toBe('The agent has no identities.\n')
  })

  it('keeps the key in the keychain when that works and an agent serves stock clients', async () => {
    const profile = await login(cluster, {keyStore: 'auto', agentSocket: agent.socket})
    expect(profile.keyStore).toBe('keychain')
    const {privateKey, publicKey} = profilePaths(home, profile)
    expect([privateKey, publicKey].map(path => existsSync(path))).toEqual([false, false])
    expect(notices).toEqual([])
    const identity = await loadIdentity({home, keychain})
    expect(identity.privateKey).toBeDefined()

    keychain = brokenKeychain
    expect((await login(cluster, {keyStore: 'auto', agentSocket: agent.socket})).keyStore).toBe('file')
    expect(notices).toEqual([
      expect.stringMatching(/^the private key is kept in .*: the keychain cannot be used: no D-Bus$/),
      expect.stringContaining('the private key of joe is still in the keychain'),
    ])
    await expect(login(cluster, {keyStore: 'keychain'})).rejects.toMatchObject({
      ...{code: 'unavailable', hint: 'use --key-store=file'},
    })
  })

  it('moves the key when another store is chosen, and leaves no copy', async () => {
    const held = memoryKeychain()
    keychain = held
    const profile = await login(cluster, {keyStore: 'keychain'})
    expect(held.secrets.size).toBe(1)
    await login(cluster, {keyStore: 'file'})
    expect(held.secrets.size).toBe(0)
    await login(cluster, {keyStore: 'keychain'})
    expect(existsSync(profilePaths(home, profile).privateKey)).toBe(false)
    await login(cluster, {keyStore: 'file', agent: 'only', agentSocket: agent.socket})
    expect([held.secrets.size, existsSync(profilePaths(home, profile).privateKey)]).toEqual([0, false])
  })

  it('mends a damaged profile', async () => {
    const profile = await login(cluster)
    writeFileSync(profilePaths(home, profile).profile, '{')
    await login(cluster)
    expect(notices).toEqual([expect.stringContaining('is damaged, and is replaced')])
    expect(await findProfile(home)).toMatchObject({user: 'joe'})
  })

  it('is gone after logging out: profile, keychain, agent', async () => {
    const held = memoryKeychain()
    keychain = held
    await login(cluster, {user: 'ann', agentSocket: agent.socket})
    const profile = await login(cluster, {keyStore: 'keychain', agentSocket: agent.socket})
    await logOut(profile, context(agent.socket))
    expect(held.secrets.size).toBe(0)
    expect((await listProfiles(home)).map(({user}) => user)).toEqual(['ann'])
    expect(await shown()).toMatch(/^\S+ \S+ sallyport:test:ann\n$/)
    expect(readdirSync(join(home, 'profiles'))).toHaveLength(1)
    expect(notices).toEqual([])
  })

  it('goes as far as it can when agent and keychain are gone, and says what may be left', async () => {
    const profile = await login(cluster, {keyStore: 'keychain'})
    keychain = brokenKeychain
    await logOut(profile, context(join(home, 'nowhere.sock')))
    expect(notices).toEqual([
      expect.stringContaining('the ssh-agent may still hold the certificate of joe'),
      expect.stringContaining('the private key of joe is still in the keychain'),
    ])
    expect(await listProfiles(home)).toEqual([])
  })

  describe('as an identity', () => {
    it('signs with its key and brings certificate and authorities', async () => {
      await login(cluster)
      const identity = await loadIdentity({home})
      const data = Buffer.from('data')
      expect(verifySignature(identity.signer.publicBlob, data, await identity.signer.sign(data))).toBe(true)
      expect(parseCertificate(identity.certificate).publicKey).toEqual(identity.signer.publicBlob)
      expect(identity.hostAuthorities).toEqual([hostAuthority.publicBlob])
      expect(identity.profile).toMatchObject({user: 'joe', cluster: 'test', recording: 'proxy'})
    })

    it('signs through the agent when only the agent has the key', async () => {
      await login(cluster, {agent: 'only', agentSocket: agent.socket})
      const identity = await loadIdentity({home, agentSocket: agent.socket})
      expect(identity.privateKey).toBeUndefined()
      const data = Buffer.from('data')
      const signature = await identity.signer.sign(data, 'ssh-ed25519')
      expect(verifySignature(identity.signer.publicBlob, data, signature)).toBe(true)
      identity.close()
      await expect(loadIdentity({home})).rejects.toMatchObject({code: 'agent_required'})
      await sshAdd(['-D'], {env: agent.env})
      await expect(loadIdentity({home, agentSocket: agent.socket})).rejects.toMatchObject({
        code: 'not_logged_in',
      })
    })

    it('turns to the agent when the keychain is locked', async () => {
      await login(cluster, {keyStore: 'keychain', agentSocket: agent.socket})
      const identity = await loadIdentity({home, keychain: brokenKeychain, agentSocket: agent.socket})
      expect((await identity.signer.sign(Buffer.from('data'))).length).toBeGreaterThan(64)
      identity.close()
      await expect(loadIdentity({home, keychain: brokenKeychain})).rejects.toMatchObject({
        code: 'unavailable',
        hint: expect.stringContaining('log in again: sallyport login --proxy=127.0.0.1:'),
      })
    })

    it('tells who is not logged in what to run', async () => {
      await expect(loadIdentity({home})).rejects.toMatchObject({
        code: 'not_logged_in',
        message: 'you are not logged in',
        hint: 'run: sallyport login --proxy=HOST --user=NAME',
      })
      const proxy = {host: 'p.example.com', webPort: 443}
      await expect(loadIdentity({home, proxy, user: 'joe'})).rejects.toMatchObject({
        message: 'you are not logged in at p.example.com:443 as joe',
        hint: 'run: sallyport login --proxy=p.example.com:443 --user=joe',
      })
    })

    it('is over exactly when its certificate is', async () => {
      const profile = await login(cluster)
      const {validBefore} = parseCertificate(parseAuthorizedKey(profile.certificate).blob)
      const end = Number(validBefore) * 1000
      await expect(loadIdentity({home, now: () => end - 1})).resolves.toBeDefined()
      await expect(loadIdentity({home, now: () => end})).rejects.toMatchObject({
        code: 'certificate_expired',
        hint: `log in again: sallyport login --proxy=127.0.0.1:${cluster.port} --user=joe`,
      })
    })

    it('is refused when others can read its key', async () => {
      const profile = await login(cluster)
      const {privateKey} = profilePaths(home, profile)
      chmodSync(privateKey, 0o644)
      await expect(loadIdentity({home})).rejects.toMatchObject({
        code: 'invalid_input',
        hint: expect.stringContaining(`chmod 600 ${privateKey}`),
      })
    })
  })
})
