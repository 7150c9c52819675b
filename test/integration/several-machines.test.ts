import {once} from 'node:events'
import {mkdirSync, readdirSync, readFileSync, statSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {beforeAll, describe, expect, test} from 'vitest'
import {parseAuthorizedKey, parsePrivateKey} from '../../src/lib/sshcert/index.js'
import {sallyport, startSallyport} from '../support/cluster.js'
import {eventually} from '../support/eventually.js'
import {login} from '../support/field.js'
import {type Machine, startMachine} from '../support/machines.js'
import {type Sshd, startSshd} from '../support/sshd.js'
import {temporaryDirectory} from '../support/temporary-directory.js'

const password = 'correct horse battery'
const directory = temporaryDirectory()
const passwordFile = join(directory, 'password')

const authConfig = (port = 0) => ({
  teleport: {nodename: 'auth-1'},
  auth_service: {
    ...{enabled: 'yes', cluster_name: 'test.example', listen_addr: `127.0.0.1:${port}`},
    ...{session_recording: 'proxy', authentication: {type: 'local', second_factor: 'off'}},
  },
})

const proxyConfig = (auth: Machine, changes: object = {}) => ({
  teleport: {nodename: 'proxy-1', auth_servers: [`127.0.0.1:${auth.addresses.auth?.port}`], ...changes},
  auth_service: {enabled: 'no'},
  proxy_service: {
    enabled: 'yes',
    listen_addr: '127.0.0.1:0',
    web_listen_addr: '127.0.0.1:0',
    tunnel_listen_addr: '127.0.0.1:0',
  },
})

/** The words of `nodes add` that a machine needs. */
async function invitation(
  auth: Machine,
  roles = 'proxy',
): Promise<{token: string; pin: string; line: string}> {
  const {stdout, stderr, code} = await auth.admin(['nodes', 'add', `--roles=${roles}`])
  if (code !== 0) throw new Error(stderr)
  const [, token = '', pin = ''] = /--token=(\S+) --ca-pin=(\S+) /.exec(stdout) ?? []
  return {token, pin, line: stdout.trim()}
}

const joining = ({token, pin}: {token: string; pin: string}): string[] => [
  `--token=${token}`,
  `--ca-pin=${pin}`,
]

let auth: Machine
let proxy: Machine

beforeAll(async () => {
  writeFileSync(passwordFile, `${password}\n`)
  auth = await startMachine({directory: join(directory, 'auth'), roles: 'auth', config: authConfig()})
  proxy = await startMachine({
    ...{directory: join(directory, 'proxy'), roles: 'proxy', config: proxyConfig(auth)},
    args: joining(await invitation(auth)),
  })
})

describe('auth on one machine, the proxy on another', () => {
  test('each says what it serves, and the auth machine what another one has to run', async () => {
    expect(auth.lines).toEqual([
      expect.stringMatching(/^auth {3}cluster test\.example, administration on /),
      `auth   other machines on 127.0.0.1:${auth.addresses.auth?.port}`,
    ])
    expect(proxy.lines.map(line => line.split(' ')[0])).toEqual(['proxy', 'proxy', 'web'])
    expect(proxy.addresses).toMatchObject({cluster: 'test.example'})
    const {line} = await invitation(auth, 'node')
    expect(line).toMatch(
      new RegExp(
        `^sallyport start --roles=node --token=[0-9a-f]{32} --ca-pin=sha256:[0-9a-f]{64} --auth-server=127.0.0.1:${auth.addresses.auth?.port}$`,
      ),
    )
  })

  test('what the proxy got is kept from everybody else', () => {
    for (const name of ['identity.json', 'host_uuid', 'addresses.json'])
      expect([name, statSync(join(proxy.dataDir, name)).mode & 0o777]).toEqual([name, 0o600])
  })

  test('a user signs up and logs in at the proxy, where the link leads', async () => {
    const added = await auth.admin(['users', 'add', 'joe', `joe,${login}`])
    const url = /https:\/\/\S+\/web\/invite\/\S+/.exec(added.stdout)?.[0] ?? ''
    expect(url.startsWith(`${proxy.addresses.web?.url}/`)).toBe(true)
    const signup = await sallyport(['signup', url, '--insecure', `--password-file=${passwordFile}`])
    expect(signup).toMatchObject({code: 0})
    expect(await asJoe(loginWords())).toMatchObject({code: 0})
  })

  test('sessions through the proxy are recorded with the auth service, and played by who may see them', async () => {
    target = await startTarget()
    const ran = await asJoe(['ssh', ...host(), 'echo recorded far away; echo err >&2; exit 7'])
    expect(ran).toMatchObject({code: 7, stdout: 'recorded far away\n', stderr: 'err\n'})
    const [row] = JSON.parse((await asJoe(['recordings', 'ls', '--format=json'])).stdout)
    expect(row).toMatchObject({user: 'joe', login, host: '127.0.0.1', state: 'sealed'})
    const played = await asJoe(['play', row.sid, '--format=raw'])
    expect(played.stdout).toBe('recorded far away\nerr\n')
    expect(readdirSync(proxy.dataDir)).not.toContain('recordings')
    expect(await auth.admin(['recordings', 'verify', row.sid])).toMatchObject({code: 0})
    const trail = JSON.parse((await auth.admin(['audit', 'ls', '--format=json'])).stdout) as {
      event: string
      sid?: string
    }[]
    const own = trail.filter(({sid}) => sid === row.sid).reverse()
    expect(own.map(({event}) => event)).toEqual([
      ...['session.start', 'session.upload', 'exec', 'session.data', 'session.end'],
      // Played by joe, verified by the administrator.
      ...['session.recording.access', 'session.recording.access'],
    ])
  })

  test("what a user may ask of auth is decided by the user's certificate, not by the proxy", async () => {
    expect(await asJoe(['locks', 'ls'])).toMatchObject({stderr: expect.stringContaining('[access_denied]')})
    expect(await asJoe(['recordings', 'ls'])).toMatchObject({code: 0})
  })

  test('stops and starts again without a token', async () => {
    expect(await proxy.stop()).toBe(0)
    const before = readFileSync(join(proxy.dataDir, 'host_uuid'), 'utf8')
    proxy = await startMachine({
      ...{directory: join(directory, 'proxy'), roles: 'proxy', config: proxyConfig(auth)},
    })
    expect(readFileSync(join(proxy.dataDir, 'host_uuid'), 'utf8')).toBe(before)
    expect(await asJoe(loginWords())).toMatchObject({code: 0})
    expect(await asJoe(['ssh', ...host(), 'echo again'])).toMatchObject({code: 0, stdout: 'again\n'})
  })
})

let target: Sshd
const home = join(directory, 'home')
const host = (): string[] => ['-p', String(target.port), `${login}@127.0.0.1`]
const asJoe = (words: string[], input?: string) =>
  sallyport(words, {env: {SALLYPORT_HOME: home}, ...(input === undefined ? {} : {input})})
const loginWords = (): string[] => [
  ...['login', `--proxy=127.0.0.1:${proxy.addresses.web?.port}`, '--user=joe', '--insecure'],
  ...[`--password-file=${passwordFile}`, '--key-store=file', '--no-use-local-ssh-agent'],
]

/** An sshd with a host certificate that the auth machine signed. */
async function startTarget(): Promise<Sshd> {
  const out = join(directory, 'target')
  await auth.admin(['auth', 'sign', '--host=127.0.0.1', '--format=openssh', `--out=${out}`])
  const userCa = (await auth.admin(['auth', 'export', '--type=user'])).stdout.replace('cert-authority ', '')
  const place = join(directory, 'sshd')
  mkdirSync(place)
  return startSshd({
    directory: place,
    hostKey: parsePrivateKey(readFileSync(out, 'utf8')),
    hostCertificate: parseAuthorizedKey(readFileSync(`${out}-cert.pub`, 'utf8')).blob,
    trustedUserCa: parseAuthorizedKey(userCa).blob,
  })
}

describe('a node on a third machine', () => {
  let node: Machine

  test('joins as what its token says, and is reached by its name', async () => {
    const {token, pin} = await invitation(auth, 'node')
    const auths = `127.0.0.1:${auth.addresses.auth?.port}`
    node = await startMachine({
      ...{directory: join(directory, 'node'), roles: 'node'},
      config: {
        teleport: {nodename: 'far1', auth_servers: [auths], advertise_ip: '127.0.0.1'},
        ...{auth_service: {enabled: 'no'}, proxy_service: {enabled: 'no'}},
        ssh_service: {enabled: 'yes', listen_addr: '127.0.0.1:0', labels: {env: 'test'}},
      },
      args: joining({token, pin}),
    })
    expect(node.lines.map(line => line.split(' ')[0])).toEqual(['node'])
    const ran = await asJoe(['ssh', `${login}@far1`, 'echo on a node; exit 5'])
    expect(ran).toMatchObject({code: 5, stdout: 'on a node\n', stderr: ''})
    const id = readFileSync(join(node.dataDir, 'host_uuid'), 'utf8').trim()
    const byId = await asJoe(['ssh', `${login}@${id}`, 'echo by its UUID'])
    expect(byId).toMatchObject({code: 0, stdout: 'by its UUID\n'})
    const [row] = JSON.parse((await asJoe(['recordings', 'ls', '--format=json'])).stdout)
    expect(row).toMatchObject({user: 'joe', login, state: 'sealed'})
  })

  test('that is locked is heard of no more', async () => {
    const id = readFileSync(join(node.dataDir, 'host_uuid'), 'utf8').trim()
    expect(await auth.admin(['lock', `--node=${id}`])).toMatchObject({code: 0})
    const refused = await asJoe(['ssh', `${login}@far1`, 'true'])
    expect(refused.stderr).toContain('locked')
    expect(await node.stop()).toBe(0)
    const again = startMachine({
      ...{directory: join(directory, 'node'), roles: 'node'},
      config: {
        teleport: {nodename: 'far1', auth_servers: [`127.0.0.1:${auth.addresses.auth?.port}`]},
        ...{auth_service: {enabled: 'no'}, proxy_service: {enabled: 'no'}},
        ssh_service: {enabled: 'yes', listen_addr: '127.0.0.1:0'},
      },
    })
    await expect(again).rejects.toThrow(/locked.*\[access_denied\]/)
  })
})

describe('while the auth service is away', () => {
  const trail = async (sid: string): Promise<string[]> => {
    const {stdout} = await auth.admin(['audit', 'ls', '--format=json', '--limit=1000'])
    return (JSON.parse(stdout) as {event: string; sid?: string}[])
      .filter(event => event.sid === sid && event.event !== 'session.recording.access')
      .map(({event}) => event)
      .reverse()
  }
  const recordedAs = (output: string): Promise<string> =>
    eventually(
      async () => {
        const {stdout} = await auth.admin(['recordings', 'ls', '--format=json'])
        for (const {sid, state} of JSON.parse(stdout) as {sid: string; state: string}[]) {
          if (state !== 'sealed') continue
          const played = await auth.admin(['play', sid, '--format=raw'])
          if (played.stdout === output) return sid
        }
        return undefined
      },
      `there is a recording of ${JSON.stringify(output)}`,
    )
  const whole = ['session.start', 'session.upload', 'exec', 'session.data', 'session.end']

  test('those with a certificate still get in, sessions go on, and everything is on record afterwards, once', async () => {
    const {port = 0} = auth.addresses.auth ?? {}
    const running = startSallyport(['ssh', ...host(), 'echo begun; read word; echo "$word"'], {
      env: {SALLYPORT_HOME: home},
    })
    await once(running.stdout, 'data')
    expect(await auth.stop()).toBe(0)
    await eventually(() => proxy.log().includes('the auth service is away'), 'the proxy missed auth')

    const inTheDark = await asJoe(['ssh', ...host(), 'echo in the dark'])
    expect(inTheDark).toMatchObject({code: 0, stdout: 'in the dark\n'})
    const denied = await asJoe(['ssh', '-p', String(target.port), 'nobody@127.0.0.1', 'true'])
    expect(denied.stderr).toMatch(/is not for the login|not among its principals|denied/)
    const login = await asJoe(loginWords())
    expect(login.stderr).toContain('[unavailable]')

    auth = await startMachine({
      ...{directory: join(directory, 'auth'), roles: 'auth', config: authConfig(port)},
    })
    running.stdin.end('over\n')
    await once(running, 'exit')
    expect(await trail(await recordedAs('in the dark\n'))).toEqual(whole)
    expect(await trail(await recordedAs('begun\nover\n'))).toEqual(whole)
    expect(await asJoe(loginWords())).toMatchObject({code: 0})
    expect(await asJoe(['ssh', ...host(), 'echo back'])).toMatchObject({code: 0, stdout: 'back\n'})
    expect(await auth.admin(['audit', 'verify'])).toMatchObject({code: 0})
  })
})

describe('joining', () => {
  const attempt = async (name: string, args: string[], changes: object = {}) => {
    const config = proxyConfig(auth, changes)
    return startMachine({...{directory: join(directory, name), roles: 'proxy', config}, args}).then(
      async machine => {
        await machine.stop()
        return 'joined'
      },
      (error: Error) => error.message,
    )
  }

  test('needs a token, a pin, and the right ones', async () => {
    const {token, pin} = await invitation(auth)
    expect(await attempt('none', [])).toContain('[config_invalid]')
    expect(await attempt('unpinned', [`--token=${token}`])).toContain('[tls_untrusted]')
    const wrong = await attempt('mispinned', [`--token=${token}`, `--ca-pin=sha256:${'0'.repeat(64)}`])
    expect(wrong).toContain('nothing was sent to it')
    expect(await attempt('guess', ['--token=0123456789abcdef', `--ca-pin=${pin}`])).toContain(
      '[token_invalid]',
    )
    expect(
      await attempt('second-pin', [`--token=${token}`, `--ca-pin=sha256:${'0'.repeat(64)},${pin}`]),
    ).toBe('joined')
    expect(await attempt('reuse', [`--token=${token}`, `--ca-pin=${pin}`])).toContain('[token_invalid]')
  })

  test('tokens are listed without themselves, and taken back', async () => {
    const made = JSON.parse(
      (await auth.admin(['tokens', 'add', '--type=node,proxy', '--ttl=2h', '--format=json'])).stdout,
    )
    expect(made).toMatchObject({
      ...{roles: ['node', 'proxy'], auth_server: `127.0.0.1:${auth.addresses.auth?.port}`},
      ca_pins: [expect.stringMatching(/^sha256:[0-9a-f]{64}$/)],
    })
    const listed = await auth.admin(['tokens', 'ls'])
    expect(listed.stdout).toContain(made.id)
    expect(listed.stdout).not.toContain(made.token)
    expect(await auth.admin(['tokens', 'rm', made.id])).toMatchObject({code: 0})
    expect((await auth.admin(['tokens', 'rm', made.id])).stderr).toContain('[not_found]')
    expect((await auth.admin(['tokens', 'add', '--type=auth'])).stderr).toContain('[usage]')
    expect((await asJoe(['locks', 'ls'])).stderr).toContain('[access_denied]')
    expect(await attempt('taken-back', [`--token=${made.token}`, `--ca-pin=${made.ca_pins[0]}`])).toContain(
      '[token_invalid]',
    )
  })

  test('takes the token from a file, and everything from the configuration', async () => {
    const {token, pin} = await invitation(auth)
    const file = join(directory, 'token')
    writeFileSync(file, `${token}\n`)
    expect(await attempt('configured', [], {auth_token: file, ca_pin: pin})).toBe('joined')
  })

  test('with a token for nodes makes no proxy', async () => {
    const {token, pin} = await invitation(auth, 'node')
    expect(await attempt('node-token', joining({token, pin}))).toContain('[access_denied]')
  })

  test('is refused on a data directory that another service uses', async () => {
    expect(await attempt('proxy', [])).toContain('[already_running]')
  })
})
