import {existsSync, mkdirSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {beforeAll, beforeEach, describe, expect, it} from 'vitest'
import {parse as parseYaml} from 'yaml'
import {type Agent, sshAdd, startAgent} from '../support/openssh.js'
import {type RunOptions, run} from '../support/process.js'
import {sallyportPath} from '../support/service.js'
import {temporaryDirectory} from '../support/temporary-directory.js'
import {
  inviteToken,
  otp,
  otpSecret,
  password,
  startCluster,
  type TestCluster,
} from '../unit/client/fixture.js'

let home: string
let passwordFile: string
beforeEach(() => {
  const directory = temporaryDirectory()
  home = join(directory, 'home')
  passwordFile = join(directory, 'password')
  writeFileSync(passwordFile, `${password}\n`, {mode: 0o600})
})

async function sallyport(args: string[], {env, ...options}: RunOptions = {}) {
  const result = await run(process.execPath, [sallyportPath, ...args], {
    ...options,
    env: {SALLYPORT_HOME: home, NO_COLOR: '1', ...env},
  })
  return {...result, stdout: result.stdout.toString('utf8')}
}

const login = (cluster: TestCluster, args: string[] = [], options: RunOptions = {}) =>
  sallyport(
    [
      ...['login', `--proxy=127.0.0.1:${cluster.port}`, '--user=joe', '--insecure'],
      ...[`--password-file=${passwordFile}`, '--key-store=file', ...args],
    ],
    options,
  )

describe('login, status, logout', () => {
  let cluster: TestCluster
  let agent: Agent
  beforeAll(async () => {
    cluster = await startCluster()
    agent = await startAgent(temporaryDirectory())
  })

  it('take a user from password to certificate and back', async () => {
    const {code, stdout, stderr} = await login(cluster, [], {env: agent.env})
    expect(stderr).toBe('')
    expect(code).toBe(0)
    expect(stdout).toContain('Logged in to test as joe\n')
    expect((await sshAdd(['-L'], {env: agent.env})).stdout.toString()).toMatch(/ sallyport:test:joe\n$/)

    const status = await sallyport(['status', '--format=json'])
    expect(JSON.parse(status.stdout)).toMatchObject({
      active: {
        ...{
          profile_url: `https://127.0.0.1:${cluster.port}`,
          username: 'joe',
          cluster: 'test',
          roles: ['access'],
        },
        ...{logins: ['joe', 'root'], expired: false, extensions: ['permit-pty'], key_store: 'file'},
      },
      profiles: [],
    })
    const yaml = await sallyport(['status', '--format=yaml'])
    expect(parseYaml(yaml.stdout).active.username).toBe('joe')
    const text = await sallyport(['status'])
    expect(text.stdout).toMatch(/^Current login\n[\s\S]*Valid until: {2}\S+ \[59m\]|\[1h\]/)

    const block = await sallyport(['config', 'web-*'])
    expect(block.stdout).toMatch(/^Host web-\*$/m)
    expect(block.stdout).toContain(`CertificateFile "${home}/profiles/`)

    expect(await sallyport(['logout'], {env: agent.env})).toMatchObject({
      code: 0,
      stdout: 'Logged out of test as joe\n',
    })
    expect((await sshAdd(['-L'], {env: agent.env})).stdout.toString()).toBe('The agent has no identities.\n')
    expect(await sallyport(['status'])).toMatchObject({
      ...{code: 12, stdout: ''},
      stderr:
        'sallyport: you are not logged in; run: sallyport login --proxy=HOST --user=NAME [not_logged_in]\n',
    })
  })

  it('renew the last login without being told who and where', async () => {
    await login(cluster, ['--ttl=30'])
    const before = cluster.requests.length
    const again = await sallyport(['login', '--insecure', '--key-store=file', '--password-file=-'], {
      input: `${password}\n`,
    })
    expect(again.code).toBe(0)
    expect(cluster.requests.slice(before)).toMatchObject([{user: 'joe'}])
    expect(cluster.requests[before - 1]?.ttlSeconds).toBe(1800)
  })

  it('honour the environment, in the Teleport spelling too', async () => {
    const other = join(home, 'other')
    const env = {
      ...{SALLYPORT_HOME: undefined, TELEPORT_HOME: other, TELEPORT_PROXY: `127.0.0.1:${cluster.port}`},
      ...{SALLYPORT_USER: 'ann', TELEPORT_USE_LOCAL_SSH_AGENT: 'false', ...agent.env},
    }
    mkdirSync(home)
    const {code} = await sallyport(
      ['login', '--insecure', '--key-store=file', `--password-file=${passwordFile}`],
      {env},
    )
    expect(code).toBe(0)
    expect(existsSync(join(other, 'current'))).toBe(true)
    expect(cluster.requests.at(-1)?.user).toBe('ann')
    expect((await sshAdd(['-L'], {env: agent.env})).stdout.toString()).toBe('The agent has no identities.\n')
  })

  it('name the fix for a self-signed certificate, and take it from SSL_CERT_FILE', async () => {
    const args = [
      'login',
      `--proxy=127.0.0.1:${cluster.port}`,
      '--user=joe',
      `--password-file=${passwordFile}`,
    ]
    expect(await sallyport(args)).toMatchObject({
      code: 28,
      stderr:
        `sallyport: the web certificate of 127.0.0.1:${cluster.port} is not trusted: it is signed by itself; name its ` +
        'authority with SSL_CERT_FILE or NODE_EXTRA_CA_CERTS, or accept it with --insecure [tls_untrusted]\n',
    })
    const file = `${passwordFile}.pem`
    writeFileSync(file, cluster.certificate)
    expect((await sallyport([...args, '--key-store=file'], {env: {SSL_CERT_FILE: file}})).code).toBe(0)
    expect((await sallyport([...args, '--key-store=file'], {env: {NODE_EXTRA_CA_CERTS: file}})).code).toBe(0)
  })

  it('say what is wrong in one line with a code of its own', async () => {
    writeFileSync(passwordFile, 'wrong')
    expect(await login(cluster)).toMatchObject({
      ...{code: 10, stdout: '', stderr: 'sallyport: the name or password is wrong [bad_credentials]\n'},
    })
    const noTerminal = await sallyport([
      'login',
      `--proxy=127.0.0.1:${cluster.port}`,
      '--user=joe',
      '--insecure',
    ])
    expect(noTerminal).toMatchObject({code: 2, stderr: expect.stringContaining('use --password-file')})
    expect(await sallyport(['login'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('add --proxy=HOST'),
    })
    expect(await sallyport(['login', '--proxy=127.0.0.1:1'])).toMatchObject({code: 27})
    expect(await sallyport(['config'])).toMatchObject({code: 12})
    expect(await sallyport(['logout'])).toMatchObject({code: 12})
    const skewed = await startCluster({clockAheadMs: 120_000})
    expect(await login(skewed)).toMatchObject({
      code: 14,
      stderr: expect.stringMatching(/^[^\n]+\[clock_skew\]\n$/),
    })
  })

  it('tell an expired login by its exit status, and still show it', async () => {
    const expiring = await startCluster({
      fields: fields => ({...fields, validBefore: fields.validAfter + 65n}),
    })
    await login(expiring)
    const expired = async () => (await sallyport(['status'])).code
    await expect.poll(expired, {interval: 300}).toBe(13)
    const {stdout, stderr} = await sallyport(['status', '--format=json'])
    expect(JSON.parse(stdout).active.expired).toBe(true)
    expect(JSON.parse(stderr).error).toMatchObject({
      ...{
        code: 'certificate_expired',
        hint: `log in again: sallyport login --proxy=127.0.0.1:${expiring.port} --user=joe`,
      },
    })
  })

  it('write an identity for automation, and no profile', async () => {
    const out = join(temporaryDirectory(), 'id')
    expect(await login(cluster, [`--out=${out}`])).toMatchObject({
      ...{code: 0, stdout: '', stderr: `The credentials have been written to ${out}\n`},
    })
    expect(existsSync(home)).toBe(false)
    expect(readFileSync(out, 'utf8')).toMatch(/^-----BEGIN OPENSSH PRIVATE KEY-----\n/)
    const before = cluster.requests.length
    expect(await login(cluster, [`--out=${out}`])).toMatchObject({code: 33})
    // Nothing was issued for a name that is taken.
    expect(cluster.requests).toHaveLength(before)
    expect((await login(cluster, [`--out=${out}`, '--overwrite', '--format=openssh'])).code).toBe(0)
    expect(existsSync(`${out}-cert.pub`)).toBe(true)
  })

  it('log out of everything with --all', async () => {
    await login(cluster)
    await login(await startCluster({clusterName: 'other'}))
    const {stdout} = await sallyport(['logout', '--all'])
    expect(stdout.split('\n').sort()).toEqual(['', 'Logged out of other as joe', 'Logged out of test as joe'])
  })
})

describe('a second factor', () => {
  it('is asked of whoever logs in to a cluster that wants one', async () => {
    const cluster = await startCluster({secondFactor: 'otp'})
    expect(await login(cluster)).toMatchObject({code: 2, stderr: expect.stringContaining('use --otp')})
    expect(await login(cluster, ['--otp=000000'])).toMatchObject({code: 10})
    expect(await login(cluster, [`--otp=${otp}`])).toMatchObject({code: 0})
  })
})

describe('signup', () => {
  const link = (cluster: TestCluster, token = inviteToken) =>
    `https://127.0.0.1:${cluster.port}/web/invite/${token}`

  it('lets a script see the secret, and then sign up with a code', async () => {
    const cluster = await startCluster({secondFactor: 'otp'})
    const shown = await sallyport(['signup', link(cluster), '--insecure', '--show', '--format=json'])
    expect(JSON.parse(shown.stdout)).toMatchObject({
      user: 'joe',
      second_factor: 'otp',
      otp: {secret: otpSecret},
    })
    const args = ['signup', link(cluster), '--insecure', `--password-file=${passwordFile}`]
    expect(await sallyport(args)).toMatchObject({
      code: 16,
      stderr: expect.stringContaining('--show --format json'),
    })
    const done = await sallyport([...args, `--otp=${otp}`, '--format=json'])
    expect(JSON.parse(done.stdout)).toMatchObject({
      ...{
        user: 'joe',
        otp: {secret: otpSecret},
        login: `sallyport login --proxy=127.0.0.1:${cluster.port} --user=joe`,
      },
    })
    expect(cluster.accepted).toEqual([{token: inviteToken, password, otp}])
    expect(await sallyport([...args, `--otp=${otp}`])).toMatchObject({code: 18})
  })

  it('needs a password only where the cluster has no second factor', async () => {
    const cluster = await startCluster()
    const {code, stdout} = await sallyport(['signup', link(cluster), '--insecure', '--password-file=-'], {
      input: password,
    })
    expect(code).toBe(0)
    expect(stdout).toBe(`joe can log in now: sallyport login --proxy=127.0.0.1:${cluster.port} --user=joe\n`)
    expect(cluster.accepted).toEqual([{token: inviteToken, password}])
  })

  it('refuses what is no invite link before it connects anywhere', async () => {
    expect(await sallyport(['signup', 'https://proxy/elsewhere'])).toMatchObject({code: 35})
  })
})
