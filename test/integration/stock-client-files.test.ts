import {generateKeyPairSync} from 'node:crypto'
import {writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {beforeAll, describe, expect, it} from 'vitest'
import {connectAgent} from '../../src/lib/agent/index.js'
import {keepLogin, logIn, profilePaths, sshConfig, webApi} from '../../src/lib/client/index.js'
import {issueCertificate, publicKeyBlob} from '../../src/lib/sshcert/index.js'
import {ssh, startAgent} from '../support/openssh.js'
import {type Sshd, startSshd} from '../support/sshd.js'
import {temporaryDirectory} from '../support/temporary-directory.js'
import {
  hostAuthority,
  password,
  startCluster,
  type TestCluster,
  userAuthority,
  userFields,
} from '../unit/client/fixture.js'

let sshd: Sshd
let cluster: TestCluster
beforeAll(async () => {
  const {privateKey} = generateKeyPairSync('ed25519')
  const fields = userFields(publicKeyBlob(privateKey), 'host', 3600)
  const host = {
    ...fields,
    kind: 'host' as const,
    principals: ['127.0.0.1'],
    extensions: new Map<string, string>(),
  }
  sshd = await startSshd({
    directory: temporaryDirectory(),
    hostKey: privateKey,
    hostCertificate: await issueCertificate(host, hostAuthority),
    trustedUserCa: userAuthority.publicBlob,
  })
  cluster = await startCluster({fields: given => ({...given, principals: [sshd.user]})})
})

/** Logs in, and connects with the settings that `config` prints, straight to the host. */
async function connect(agent: 'no' | 'auto' | 'only', agentSocket: string | undefined) {
  const home = join(temporaryDirectory(), 'home')
  const credentials = {user: 'joe', password: async () => password, otp: async () => ''}
  const login = await logIn(webApi({...cluster, insecure: true}), credentials, Date.now)
  const profile = await keepLogin(login, {
    ...{home, agent, agentSocket, keyStore: 'file', now: Date.now, notice: () => {}},
    ...{address: {host: cluster.host, webPort: cluster.port}},
    keychain: {set: async () => {}, get: async () => undefined, delete: async () => {}},
  })
  const paths = profilePaths(home, profile)
  const block = sshConfig({profile, paths, patterns: [], command: ['sallyport']})
  const file = join(home, 'config')
  writeFileSync(file, block.replace(/^ +ProxyCommand .*\n/m, ''))
  const since = sshd.log().length
  const target = ['-F', file, '-o', 'BatchMode=yes', '-p', String(sshd.port), `${sshd.user}@127.0.0.1`]
  const env = agentSocket === undefined ? {} : {SSH_AUTH_SOCK: agentSocket}
  const result = await ssh([...target, 'echo it works'], {env})
  return {...result, log: await sshd.waitForLog(/Accepted publickey|Connection (closed|reset)/, since)}
}

describe('the stock client, with the settings of `config`', () => {
  it('gets in with the key in a file and no agent', async () => {
    const {code, stdout, log} = await connect('no', undefined)
    expect([code, stdout.toString()]).toEqual([0, 'it works\n'])
    expect(log).toContain('ED25519-CERT')
  })

  it.each(['auto', 'only'] as const)('gets in with the key in the agent (%s)', async choice => {
    const agent = await startAgent(temporaryDirectory())
    // Nine other keys are more than sshd's six attempts: they must not be tried first.
    const others = await connectAgent(agent.socket)
    for (let i = 0; i < 9; i++)
      await others.add({privateKey: generateKeyPairSync('ed25519').privateKey, comment: `other ${i}`})
    others.close()
    const {code, stdout, log} = await connect(choice, agent.socket)
    expect([code, stdout.toString()]).toEqual([0, 'it works\n'])
    expect(log).toContain('ED25519-CERT')
    await agent.stop()
  })
})
