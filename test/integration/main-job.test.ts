import {createHash, randomBytes} from 'node:crypto'
import {existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync} from 'node:fs'
import {userInfo} from 'node:os'
import {join} from 'node:path'
import {beforeAll, describe, expect, it} from 'vitest'
import {parse as parseYaml} from 'yaml'
import {parseAuthorizedKey, parsePrivateKey} from '../../src/lib/sshcert/index.js'
import {type Cluster, sallyport, startCluster} from '../support/cluster.js'
import {type Agent, ssh, sshAdd, sshKeygen, startAgent} from '../support/openssh.js'
import {run} from '../support/process.js'
import {type Sshd, startSshd} from '../support/sshd.js'
import {temporaryDirectory} from '../support/temporary-directory.js'
import {startTmux} from '../support/tmux.js'

/**
 * The main job from end to end on a real sshd, ssh and ssh-agent: each step stands on those before it, as for a person
 * who follows the guide.
 */
const login = userInfo().username
const password = 'correct horse battery staple'
const program = join(import.meta.dirname, '../../bin/run.js')

let directory: string
let cluster: Cluster
let agent: Agent
let target: Sshd
let home: string
let passwordFile: string

/** The environment of joe at his terminal. */
const joe = (): Record<string, string> => ({SALLYPORT_HOME: home, ...agent.env})
const asJoe = (args: string[], input?: Buffer | string) =>
  sallyport(args, {env: joe(), ...(input !== undefined && {input})})

interface Row {
  sid: string
  user: string
  login: string
  host: string
  start: string
  end: string
  interactive: boolean
}
const recordings = async (): Promise<Row[]> =>
  JSON.parse((await cluster.admin(['recordings', 'ls', '--format=json'])).stdout)
const events = async (sid: string): Promise<Record<string, unknown>[]> => {
  const {stdout} = await cluster.admin(['audit', 'ls', '--format=json'])
  return (JSON.parse(stdout) as Record<string, unknown>[]).filter(event => event.sid === sid).reverse()
}
const proxyAddress = (): string => `127.0.0.1:${cluster.addresses.web.port}`

beforeAll(async () => {
  directory = temporaryDirectory()
  home = join(directory, 'home')
  passwordFile = join(directory, 'password')
  writeFileSync(passwordFile, `${password}\n`, {mode: 0o600})
  cluster = await startCluster({directory})
  agent = await startAgent(directory)
})

describe('the main job on a real sshd', () => {
  it('1. starts, says where it listens, and refuses a second auth on the same state', async () => {
    expect(cluster.banner.map(line => line.split(/\s+/)[0])).toEqual([
      ...['auth', 'auth', 'proxy', 'proxy', 'web'],
    ])
    expect(cluster.banner.join('\n')).toContain(`:${cluster.addresses.ssh.port}`)
    expect(statSync(cluster.addresses.auth.socket).mode & 0o777).toBe(0o600)
    for (const line of cluster.log().trim().split('\n')) expect(JSON.parse(line)).toHaveProperty('level')
    const second = await cluster.admin(['start', '--roles=auth,proxy'])
    expect(second.stderr).toMatch(/^sallyport: .*\[already_running\]$/m)
    expect(second.code).toBe(32)
  })

  it('2. invites a user, whose link signs up once', async () => {
    const added = await cluster.admin(['users', 'add', 'joe', `joe,${login},ec2-user`])
    const url = /https:\/\/\S+\/web\/invite\/\S+/.exec(added.stdout)?.[0]
    expect(url).toBeDefined()
    const signup = ['signup', url ?? '', '--insecure', `--password-file=${passwordFile}`]
    expect(await sallyport(signup)).toMatchObject({code: 0})
    const again = await sallyport(signup)
    expect(again.stderr).toContain('[token_invalid]')
    expect(again.code).toBe(18)
    const listed = JSON.parse((await cluster.admin(['users', 'ls', '--format=json'])).stdout)
    expect(listed).toMatchObject([{name: 'joe', logins: ['joe', login, 'ec2-user'], state: 'active'}])
  })

  it('3. exports authorities that sshd takes, over the web as on the command line', async () => {
    const cli = await cluster.admin(['auth', 'export', '--type=user'])
    expect(cli.stdout).toMatch(/^cert-authority ssh-ed25519 \S+ clustername=test\.example&type=user\n$/)
    const web = await run('sh', [
      '-c',
      `curl -sk '${cluster.addresses.web.url}/webapi/auth/export?type=user' | sed s/cert-authority\\ // > ${directory}/user_ca.pub`,
    ])
    expect(web.code).toBe(0)
    expect(`cert-authority ${readFileSync(join(directory, 'user_ca.pub'), 'utf8')}`).toBe(cli.stdout)
    const host = await cluster.admin(['auth', 'export', '--type=host'])
    expect(host.stdout).toMatch(
      /^@cert-authority \*\.test\.example ssh-ed25519 \S+ clustername=test\.example&type=host\n$/,
    )
    const openssh = await cluster.admin(['auth', 'export', '--type=openssh'])
    expect(openssh.stdout).toMatch(/^cert-authority ssh-ed25519 /)
    expect(openssh.stdout.split(' ')[2]).not.toBe(cli.stdout.split(' ')[2])
  })

  it('4. signs a host certificate with exactly the names asked for', async () => {
    const out = join(directory, 'target')
    const args = [
      'auth',
      'sign',
      '--host=target.example,localhost,127.0.0.1',
      '--format=openssh',
      `--out=${out}`,
    ]
    const signed = await cluster.admin(args)
    expect(signed.stdout).toContain(`The credentials have been written to ${out}, ${out}-cert.pub`)
    const shown = await sshKeygen(['-L', '-f', `${out}-cert.pub`])
    expect(shown.split('Principals:')[1]?.split('Critical')[0]?.trim().split(/\s+/)).toEqual([
      'target.example',
      'localhost',
      '127.0.0.1',
    ])
    expect((await cluster.admin(args)).stderr).toContain('--overwrite')
    expect(await cluster.admin([...args, '--overwrite'])).toMatchObject({code: 0})

    const sshdDirectory = join(directory, 'sshd')
    mkdirSync(sshdDirectory)
    target = await startSshd({
      directory: sshdDirectory,
      hostKey: parsePrivateKey(readFileSync(out, 'utf8')),
      hostCertificate: parseAuthorizedKey(readFileSync(`${out}-cert.pub`, 'utf8')).blob,
      trustedUserCa: parseAuthorizedKey(readFileSync(join(directory, 'user_ca.pub'), 'utf8')).blob,
    })
  })

  it('5. logs in: certificate in the profile and in the running agent', async () => {
    const args = ['login', `--proxy=${proxyAddress()}`, '--user=joe', `--password-file=${passwordFile}`]
    const untrusted = await asJoe(args)
    expect(untrusted.stderr).toContain('--insecure')
    expect(untrusted.code).toBe(28)
    expect(await asJoe([...args, '--insecure', '--key-store=file'])).toMatchObject({code: 0})
    const listed = (await sshAdd(['-L'], {env: agent.env})).stdout.toString()
    expect(listed).toContain('ssh-ed25519-cert-v01@openssh.com')
    expect(statSync(home).mode & 0o777).toBe(0o700)
    const status = JSON.parse((await asJoe(['status', '--format=json'])).stdout)
    expect(status.active).toMatchObject({username: 'joe', cluster: 'test.example'})
    const yaml = parseYaml((await asJoe(['status', '--format=yaml'])).stdout)
    expect(yaml.active.username).toBe('joe')
  })

  const host = (name = '127.0.0.1'): string[] => ['-p', String(target.port), `${login}@${name}`]

  it('6. runs commands with the exit status, and stdin and stdout byte for byte', async () => {
    const since = target.log().length
    const plain = await asJoe(['ssh', ...host(), 'echo out; echo err >&2; exit 7'])
    expect(plain).toMatchObject({code: 7, stdout: 'out\n', stderr: 'err\n'})
    await target.waitForLog(
      /Accepted publickey for .* ED25519-CERT .* ID joe \(serial \d+\) CA ED25519/,
      since,
    )
    const bytes = randomBytes(5_000_000)
    const echoed = await asJoe(['ssh', ...host(), 'cat'], bytes)
    expect(echoed.code).toBe(0)
    expect(createHash('sha256').update(echoed.bytes).digest('hex')).toBe(
      createHash('sha256').update(bytes).digest('hex'),
    )
  })

  it('6. needs no ssh-agent, and lends one with -A', async () => {
    const alone = await sallyport(['ssh', ...host(), 'true'], {env: {SALLYPORT_HOME: home}})
    expect(alone).toMatchObject({code: 0, stderr: ''})
    const lent = await asJoe(['ssh', '-A', ...host(), 'ssh-add -L'])
    expect(lent.stdout).toContain('ssh-ed25519-cert-v01@openssh.com')
    const unlent = await asJoe(['ssh', ...host(), 'ssh-add -L'])
    expect(unlent.code).not.toBe(0)
  })

  it('6. gives a terminal that follows the size, in a real terminal', async () => {
    const command = `${process.execPath} ${program} ssh ${host().join(' ')}`
    const transcript = await terminalSession(command, joe())
    expect(transcript).toContain('80x24')
    expect(transcript).toContain('100x30')
    expect(transcript).toContain('exit status 3')
    const row = (await recordings()).find(({interactive}) => interactive)
    expect(row).toMatchObject({user: 'joe', login, host: '127.0.0.1'})
  })

  it('7. serves the stock client through ProxyCommand, -J and the printed ssh_config', async () => {
    const known = join(directory, 'known_hosts')
    const hostCa = (await cluster.admin(['auth', 'export', '--type=host'])).stdout
    writeFileSync(known, hostCa.replace('*.test.example', '*'))
    const trust = [
      '-o',
      `UserKnownHostsFile=${known}`,
      '-o',
      'StrictHostKeyChecking=yes',
      '-o',
      'BatchMode=yes',
    ]
    const proxyPort = String(cluster.addresses.ssh.port)
    const jump = `ssh -F none ${trust.join(' ')} -o "ForwardAgent yes" -p ${proxyPort} joe@127.0.0.1 -s proxy:%h:%p`
    const stock = ['-F', 'none', ...trust, '-o', 'ForwardAgent yes', '-o', `ProxyCommand ${jump}`, ...host()]
    expect(text(await ssh([...stock, 'echo via subsystem; exit 4'], {env: agent.env}))).toMatchObject({
      code: 4,
      stdout: 'via subsystem\n',
    })
    const config = join(directory, 'jump_config')
    writeFileSync(
      config,
      `Host jump\n HostName 127.0.0.1\n Port ${proxyPort}\n User joe\nHost *\n UserKnownHostsFile ${known}\n StrictHostKeyChecking yes\n BatchMode yes\n`,
    )
    const jumped = await ssh(['-F', config, '-A', '-J', 'jump', ...host(), 'echo via jump; exit 5'], {
      env: agent.env,
    })
    expect(text(jumped)).toMatchObject({code: 5, stdout: 'via jump\n'})

    const printed = await asJoe(['config'])
    const own = join(directory, 'own_config')
    writeFileSync(own, printed.stdout)
    const plain = await ssh(['-F', own, '-o', 'BatchMode=yes', ...host(), 'echo via config; exit 6'], {
      env: joe(),
    })
    expect(text(plain)).toMatchObject({code: 6, stdout: 'via config\n', stderr: ''})
    const interactive = await terminalSession(`ssh -F ${own} ${host().join(' ')}`, joe())
    expect(interactive).toContain('exit status 3')
  })

  it('8. refuses a host without a host certificate in the words people look for', async () => {
    const bare = join(directory, 'bare')
    mkdirSync(bare)
    const plain = await startSshd({directory: bare, trustedUserCa: readCa()})
    const refused = await asJoe(['ssh', '-p', String(plain.port), `${login}@127.0.0.1`, 'true'])
    expect(refused.stderr).toContain(
      'ssh: handshake failed: remote host presented a public key, expected a host certificate',
    )
    expect(refused.code).toBe(21)
    expect(plain.log()).not.toContain('Accepted')
    await plain.stop()
  })

  it('9. keeps every session as one recording and one audit trail with one id', async () => {
    const said = `hello ${randomBytes(4).toString('hex')} \u001b[31mred\u001b[0m`
    await asJoe(['ssh', ...host(), `printf '%s\\n' '${said}'`])
    const row = (await recordings())[0]
    if (!row) throw new Error('no recording')
    expect(row).toMatchObject({user: 'joe', login, host: '127.0.0.1', interactive: false})
    expect(Date.parse(row.end)).toBeGreaterThanOrEqual(Date.parse(row.start))
    const trail = await events(row.sid)
    expect(trail.map(event => [event.event, event.code])).toEqual([
      ['session.start', 'T2000I'],
      ['session.upload', 'T2005I'],
      ['exec', 'T3002I'],
      ['session.data', 'T2006I'],
      ['session.end', 'T2004I'],
    ])
    const played = await cluster.admin(['play', row.sid, '--format=text'])
    expect(played.stdout).toContain('hello')
    const raw = await cluster.admin(['play', row.sid, '--format=raw'])
    expect(raw.stdout).toBe(`${said}\n`)
    const own = await asJoe(['play', row.sid, '--format=text'])
    expect(own.stdout).toBe(played.stdout)
    const file = findRecording(join(cluster.dataDir, 'recordings'), row.sid)
    // asciinema insists on a terminal and a UTF-8 locale.
    const cat = await run('script', ['-qec', `zcat '${file}' | LC_ALL=C.UTF-8 asciinema cat -`, '/dev/null'])
    expect(cat.stdout.toString()).toContain(said)
    expect(await cluster.admin(['recordings', 'verify', row.sid])).toMatchObject({code: 0})
    const keys = join(directory, 'recording-keys.pub')
    writeFileSync(keys, (await cluster.admin(['auth', 'export', '--type=recording'])).stdout)
    expect(await sallyport(['recordings', 'verify', file, `--key=${keys}`])).toMatchObject({code: 0})
    expect(await cluster.admin(['audit', 'verify'])).toMatchObject({code: 0})
  })

  it('5. logs out of everything, the agent included', async () => {
    expect(await asJoe(['logout'])).toMatchObject({code: 0})
    expect((await sshAdd(['-L'], {env: agent.env})).stdout.toString()).not.toContain('cert')
    const after = await asJoe(['ssh', ...host(), 'true'])
    expect(after.stderr).toMatch(/you are not logged in.*\[not_logged_in\]/)
    expect(after.code).toBe(12)
  })

  it('1. stops in order on SIGTERM', async () => {
    expect(await cluster.stop()).toBe(0)
    expect(existsSync(cluster.addresses.auth.socket)).toBe(false)
  })
})

const readCa = (): Buffer => parseAuthorizedKey(readFileSync(join(directory, 'user_ca.pub'), 'utf8')).blob

const text = (result: {code: number; stdout: Buffer; stderr: string}) => ({
  ...result,
  stdout: result.stdout.toString('utf8'),
})

function findRecording(root: string, sid: string): string {
  const name = readdirSync(root, {recursive: true, encoding: 'utf8'}).find(path =>
    path.endsWith(`${sid}.cast.gz`),
  )
  if (!name) throw new Error(`no recording of ${sid} below ${root}`)
  return join(root, name)
}

/** Types into a real terminal like a person and returns what the screen showed. */
async function terminalSession(command: string, env: Record<string, string>): Promise<string> {
  const tmux = startTmux(env)
  tmux.type(`${command}; echo "exit status $?"`)
  await tmux.until(/[#$%>]$/m)
  tmux.type('PS1="ready\\$ "; stty size | tr " " x | sed "s/^\\(.*\\)x\\(.*\\)$/\\2x\\1/"')
  await tmux.until(/^80x24$/m)
  tmux.resize(100, 30)
  tmux.type('stty size | sed "s/^\\(.*\\) \\(.*\\)$/\\2x\\1/"')
  await tmux.until(/^100x30$/m)
  tmux.type('exit 3')
  await tmux.until(/^exit status 3$/m)
  return tmux.screen().join('\n')
}
