import {execFileSync} from 'node:child_process'
import {randomBytes} from 'node:crypto'
import {once} from 'node:events'
import {existsSync, mkdirSync, readFileSync, statSync, writeFileSync} from 'node:fs'
import {type AddressInfo, connect, createServer} from 'node:net'
import {join} from 'node:path'
import {gunzipSync} from 'node:zlib'
import {beforeAll, describe, expect, it} from 'vitest'
import {sallyport} from '../support/cluster.js'
import {eventually} from '../support/eventually.js'
import {
  type Event,
  extensionsWithout,
  type Field,
  login,
  mintAuthorities,
  sshText,
  startFieldWithKey,
  type UserKey,
} from '../support/field.js'
import {createLoginUser, isRoot, type LoginUser, needsRoot} from '../support/login-user.js'
import {type RunOptions, run, start} from '../support/process.js'

let field: Field
let key: UserKey

beforeAll(async () => {
  const commands = [{name: 'answer', command: ['echo', '42'], period: '1h'}]
  const config = {auth_service: {session_recording: 'node'}, ssh_service: {labels: {env: 'test'}, commands}}
  ;({field, key} = await startFieldWithKey(config, {roles: 'auth,proxy,node'}))
})

const port = (): number => field.cluster.addresses.node?.port ?? 0
const where = (name = login): string => `${name}@127.0.0.1`

/** Options of stock clients that go straight to the node, without a port. */
const options = (as = key): string[] => [
  ...['-F', 'none', '-o', 'BatchMode=yes', '-o', `UserKnownHostsFile=${field.knownHosts}`],
  ...['-o', 'StrictHostKeyChecking=yes', '-o', 'IdentitiesOnly=yes', '-i', as.path],
]
const direct = (as = key): string[] => [...options(as), '-p', String(port())]
const at = async (command: string, words: string[] = [], run: RunOptions = {}) =>
  sshText([...direct(), ...words, where(), command], run)
const named = (events: Event[], name: string): Event[] => events.filter(({event}) => event === name)
const output = (sid: string): string => {
  const file = field.recordings().find(recording => recording.sid === sid)
  return file ? gunzipSync(readFileSync(file.path)).toString('utf8') : ''
}

describe('a stock client at the node', () => {
  it('runs a command as the login, with its output and status', async () => {
    const {code, stdout, stderr} = await at('id -un; echo oops >&2; exit 7')
    expect({code, stdout, stderr}).toEqual({code: 7, stdout: `${login}\n`, stderr: 'oops\n'})
  })

  it('learns which signal ended the command', async () => {
    const {result, events} = await field.during(() => at('kill -TERM $$', ['-v']))
    expect(result.code).toBe(255)
    expect(result.stderr).toMatch(/rtype exit-signal/)
    expect(named(events, 'session.end')).toMatchObject([{exit_signal: 'TERM'}])
    expect(named(events, 'exec')).toMatchObject([{code: 'T3002E', exitError: 'signal TERM'}])
  })

  it('gets every byte, both ways, as it was', async () => {
    const bytes = randomBytes(3_000_000)
    const back = await run('ssh', [...direct(), where(), 'cat'], {input: bytes})
    expect(back.stdout.equals(bytes)).toBe(true)
  })

  it('ends as soon as nobody reads any more', async () => {
    const {code, stdout} = await run('bash', [
      ...['-c', 'ssh "$@" "yes; echo ended >&2" | head -1', 'sh'],
      ...[...direct(), where()],
    ])
    expect([code, stdout.toString()]).toEqual([0, 'y\n'])
  })

  it('ends as soon as the command does, whatever is still to be sent', async () => {
    const {code} = await run('ssh', [...direct(), where(), 'exec true'], {input: Buffer.alloc(20_000_000)})
    expect(code).toBe(0)
  })

  it('has a terminal of the size and kind it asked for', async () => {
    const {stdout} = await at(
      'stty size; echo $TERM; tty; test "$(tty)" = "$SSH_TTY" && echo same',
      ['-tt'],
      {
        env: {TERM: 'xterm-256color'},
      },
    )
    expect(stdout).toMatch(/^\d+ \d+\r\nxterm-256color\r\n\/dev\/(pts\/\d+)\r\nsame\r\n$/)
  })

  it('finds its environment, and what the session says of itself', async () => {
    const {stdout} = await at('env', ['-o', 'SetEnv=LC_FOO=bar LD_PRELOAD=/x SSH_SESSION_ID=mine'])
    const variables = new Map(stdout.split('\n').map(line => line.split('=') as [string, string]))
    expect(variables.get('LC_FOO')).toBe('bar')
    expect(variables.has('LD_PRELOAD')).toBe(false)
    expect(variables.get('USER')).toBe(login)
    expect(variables.get('SSH_TELEPORT_USER')).toBe('joe')
    expect(variables.get('SSH_TELEPORT_CLUSTER_NAME')).toBe('test.example')
    expect(variables.get('SSH_CONNECTION')).toMatch(
      new RegExp(`^127\\.0\\.0\\.1 \\d+ 127\\.0\\.0\\.1 ${port()}$`),
    )
    expect(variables.get('SSH_SESSION_ID')).toMatch(/^[0-9a-f-]{36}$/)
  })

  it('is told the ID of its session by `sallyport status`, without a login', async () => {
    const program = `${process.execPath} ${join(import.meta.dirname, '../../bin/run.js')}`
    const status = (words: string) =>
      at(`SALLYPORT_HOME=/nowhere ${program} status ${words}; echo $SSH_SESSION_ID`)
    const [said, sid] = (await status('--format=json')).stdout.split(/\n(?=[^\n]+\n$)/)
    expect(JSON.parse(said ?? '')).toMatchObject({
      session: {session_id: sid?.trim(), user: 'joe', login, cluster: 'test.example'},
      active: null,
    })
    const text = (await status('')).stdout
    expect(text).toMatch(/^Current session\n {2}Session ID: +(\S+)\n[\s\S]*\n\1\n$/)
  })

  it('copies files by SFTP and by the old protocol, there and back', async () => {
    const place = join(field.directory, 'copies')
    mkdirSync(place)
    const bytes = randomBytes(500_000)
    writeFileSync(join(place, 'a'), bytes)
    const scp = [...options(), '-P', String(port()), '-q']
    expect((await run('scp', [...scp, join(place, 'a'), `${where()}:${place}/b`])).code).toBe(0)
    expect((await run('scp', [...scp, '-O', `${where()}:${place}/b`, join(place, 'c')])).code).toBe(0)
    const batch = `get ${place}/c ${place}/d\n`
    const sftp = await run('sftp', [...options(), '-P', String(port()), '-b', '-', where()], {input: batch})
    expect(sftp.code).toBe(0)
    for (const copy of ['b', 'c', 'd']) expect(readFileSync(join(place, copy)).equals(bytes)).toBe(true)
  })

  it('is told what it may not have, by the name of the login', async () => {
    const {code, stderr} = await sshText([...direct(), where('nobody-here'), 'true'])
    expect(code).toBe(255)
    expect(stderr).toMatch(/there is no login "nobody-here" on this host/)
    const other = await sshText([...direct(), where('daemon'), 'true'])
    expect(other.stderr).toMatch(/"daemon" is not among its principals/)
  })

  it('has no subsystem that there is none of', async () => {
    const {code, stderr} = await sshText([...direct(), '-s', where(), 'netconf'])
    expect(code).not.toBe(0)
    expect(stderr).toMatch(/subsystem request failed/)
  })

  it('runs the forced command of its certificate, and nothing else', async () => {
    const criticalOptions = [['force-command', 'echo forced: $SSH_ORIGINAL_COMMAND']] as const
    const forced = await field.userKey({criticalOptions})
    const run = (...words: string[]) => sshText([...direct(forced), ...words])
    expect((await run(where(), 'id -u')).stdout).toBe('forced: id -u\n')
    expect((await run(where())).stdout).toBe('forced:\n')
    expect((await run('-s', where(), 'sftp')).stdout).toBe('forced: sftp\n')
    const tunnel = await run('-W', `127.0.0.1:${port()}`, where())
    expect(tunnel.stderr).toMatch(/does not permit port forwarding/)
  })
})

describe('ports and agents', () => {
  /** A server that says who it is. */
  const greeter = async (greeting: string, path?: string): Promise<number> => {
    const server = createServer(socket => socket.end(greeting))
    server.listen(path ?? {port: 0, host: '127.0.0.1'})
    await once(server, 'listening')
    return path === undefined ? (server.address() as AddressInfo).port : 0
  }
  const read = async (target: {port: number} | {path: string}): Promise<string> => {
    const socket = connect(target as never)
    let said = ''
    socket.on('data', chunk => {
      said += chunk
    })
    await once(socket, 'close')
    return said
  }

  it('are reached through the node, and on record', async () => {
    const target = await greeter('hello')
    const {result, events} = await field.during(() =>
      sshText([...direct(), '-W', `127.0.0.1:${target}`, where()]),
    )
    expect(result.stdout).toBe('hello')
    expect(named(events, 'port')).toMatchObject([
      {success: true, addr: `127.0.0.1:${target}`, user: 'joe', login, server_hostname: 'proxy-1'},
    ])
    const refused = await sshText([...direct(), '-W', '127.0.0.1:1', where()])
    expect(refused.stderr).toMatch(/cannot connect to 127\.0\.0\.1:1: connection refused/)
  })

  it('lead back to the client, also of a port that the node picks', async () => {
    const target = await greeter('from the client')
    const client = start('ssh', [...direct(), '-v', '-N', '-R', `0:127.0.0.1:${target}`, where()])
    let log = ''
    client.stderr.on('data', chunk => {
      log += chunk
    })
    const picked = await eventually(() => /Allocated port (\d+)/.exec(log)?.[1], 'a port is picked')
    expect(await read({port: Number(picked)})).toBe('from the client')
    client.kill()
    await once(client, 'exit')
    await eventually(() => named(field.events(), 'port').some(({remote}) => remote), 'it is on record')
  })

  it('are reached by SOCKS and by Unix sockets both ways', async () => {
    const web = await greeter('HTTP/1.0 200 OK\r\n\r\nweb')
    const theirs = join(field.directory, 'theirs')
    const ours = join(field.directory, 'ours')
    await greeter('by socket', theirs)
    const socks = await greeter('never')
    const words = ['-L', `${ours}:${theirs}`, '-R', `${ours}-back:${theirs}`, '-D', `127.0.0.1:${socks + 1}`]
    const client = start('ssh', [...direct(), '-N', ...words, where()])
    await eventually(() => existsSync(ours) && existsSync(`${ours}-back`), 'the sockets are there')
    expect(await read({path: ours})).toBe('by socket')
    expect(await read({path: `${ours}-back`})).toBe('by socket')
    const proxied = await run('curl', [
      '-s',
      '-x',
      `socks5h://127.0.0.1:${socks + 1}`,
      `http://127.0.0.1:${web}/`,
    ])
    expect(proxied.stdout.toString()).toBe('web')
    client.kill()
    await once(client, 'exit')
    await eventually(() => !existsSync(`${ours}-back`), "the node's socket is gone")
  })

  it('are refused where certificate or role say no, and that is on record', async () => {
    const plain = await field.userKey({extensions: extensionsWithout('permit-port-forwarding')})
    const {result, events} = await field.during(() =>
      sshText([...direct(plain), '-W', '127.0.0.1:22', where()]),
    )
    expect(result.stderr).toMatch(/does not permit port forwarding/)
    expect(named(events, 'port')).toMatchObject([{success: false, code: 'T3003E', addr: '127.0.0.1:22'}])
  })

  it('lend the agent to the session alone, and take the socket away afterwards', async () => {
    const env = field.agent.env
    const lent = await at(
      'ssh-add -L; stat -c "%a %U" $SSH_AUTH_SOCK $(dirname $SSH_AUTH_SOCK); echo $SSH_AUTH_SOCK',
      ['-A'],
      {env},
    )
    expect(lent.stdout).toContain('ssh-ed25519-cert-v01@openssh.com')
    expect(lent.stdout).toContain(`600 ${login}\n700 ${login}\n`)
    const path = lent.stdout.trim().split('\n').at(-1) ?? ''
    await eventually(() => !existsSync(path), 'the socket is gone')
    expect((await at('echo [$SSH_AUTH_SOCK]', [], {env})).stdout).toBe('[]\n')
    const plain = await field.userKey({extensions: extensionsWithout('permit-agent-forwarding')})
    const unlent = await sshText([...direct(plain), '-A', where(), 'echo [$SSH_AUTH_SOCK]'], {env})
    expect(unlent.stdout).toBe('[]\n')
  })
})

describe('the record of the node', () => {
  it('has one of each for a session that came straight to it', async () => {
    const {events} = await field.during(() => at('echo on record'))
    const sid = named(events, 'session.start')[0]?.sid ?? ''
    const labels = {server_labels: {env: 'test', answer: '42'}}
    const common = {...labels, sid, user: 'joe', login, session_recording: 'node', server_hostname: 'proxy-1'}
    for (const name of ['session.start', 'session.upload', 'exec', 'session.data', 'session.end']) {
      expect(named(events, name)).toMatchObject([common])
      expect(named(events, name)[0]).not.toHaveProperty('forwarded_by')
      expect(named(events, name)[0]?.server_id).toMatch(/^[0-9a-f-]{36}$/)
    }
    expect(output(sid)).toContain('on record\\n')
  })

  it('is kept too of what comes through the proxy, which passes it on unread', async () => {
    const through = [...field.throughSubsystem(key, {forwardAgent: false}), '-p', String(port())]
    const {result, events} = await field.during(() =>
      sshText([...through, where(), 'echo through the proxy; echo $SSH_SESSION_ID']),
    )
    const sid = result.stdout.trim().split('\n').at(-1) ?? ''
    expect(result.code).toBe(0)
    expect(named(events, 'session.start')).toMatchObject([{sid, session_recording: 'node'}])
    expect(named(events, 'session.end')).toHaveLength(1)
    expect(named(events, 'session.connect')).toMatchObject([
      {forwarded_by: 'proxy-1', session_recording: 'node'},
    ])
    const played = await field.cluster.admin(['play', sid, '--format=text'])
    expect(played.stdout).toContain('through the proxy')
  })

  it('has an event for each file that was copied', async () => {
    const source = join(field.directory, 'one')
    writeFileSync(source, 'x'.repeat(1000))
    const scp = ['-P', String(port()), '-q', source]
    const {events} = await field.during(() =>
      run('scp', [...options(), ...scp, `${where()}:${field.directory}/two`]),
    )
    const files = events.filter(({event}) => event.startsWith('sftp.') || event.startsWith('scp.'))
    expect(files).toMatchObject([{path: `${field.directory}/two`, bytes: 1000, user: 'joe', login}, {}])
  })

  it('is listed while it runs, can be watched, and be ended from elsewhere', async () => {
    const client = start('ssh', [...direct(), where(), 'echo $SSH_SESSION_ID; exec cat'])
    const [said] = await once(client.stdout, 'data')
    const sid = String(said).trim()
    const {stdout} = await field.cluster.admin(['sessions', 'ls', '--format=json'])
    expect(JSON.parse(stdout)).toMatchObject([{sid, user: 'joe', login, state: 'running'}])
    const mine = ['-i', key.path, '-o', 'IdentitiesOnly=yes', '-p', String(field.cluster.addresses.ssh.port)]
    const trust = ['-F', 'none', '-o', 'BatchMode=yes', '-o', `UserKnownHostsFile=${field.knownHosts}`]
    const watcher = start('ssh', [...trust, ...mine, '-s', 'joe@127.0.0.1', `join:${sid}:observer`])
    let seen = ''
    for (const stream of [watcher.stdout, watcher.stderr]) stream.on('data', chunk => (seen += chunk))
    await eventually(() => seen.includes('you are joining session'), 'somebody looks on')
    const joins = () => named(field.events(), 'session.join').filter(one => one.sid === sid)
    await eventually(() => joins().length > 0, 'that is on record')
    expect(joins()).toMatchObject([{user: 'joe', session_recording: 'node', mode: 'observer'}])
    client.stdin.write('typed and shown\n')
    await eventually(() => seen.includes('typed and shown'), 'the watcher sees it')
    const left = once(client, 'exit')
    await field.cluster.admin(['sessions', 'end', sid])
    expect((await left)[0]).toBe(255)
  })

  it('names the subsystem of a file transfer, and makes no recording of it', async () => {
    const before = field.recordings().length
    const {events} = await field.during(() =>
      run('sftp', [...options(), '-P', String(port()), '-b', '-', where()], {input: 'pwd\n'}),
    )
    expect(named(events, 'subsystem')).toMatchObject([{name: 'sftp', user: 'joe'}])
    expect(field.recordings()).toHaveLength(before)
  })
})

describe('a lock', () => {
  it('on the node by its UUID ends what runs there within two seconds, and lets nobody in', async () => {
    const client = start('ssh', [...direct(), where(), 'echo $SSH_TELEPORT_HOST_UUID; exec sleep 100'])
    let said = ''
    client.stderr.on('data', chunk => (said += chunk))
    const [first] = await once(client.stdout, 'data')
    const uuid = String(first).trim()
    const left = once(client, 'exit').then(([code]) => ({code, at: performance.now()}))
    const locked = await field.cluster.admin(['lock', `--node=${uuid}`, '--format=json'])
    expect(locked.code).toBe(0)
    const since = performance.now()
    const {code, at: when} = await left
    expect(code).toBe(255)
    expect(when - since).toBeLessThan(2500)
    expect(said).toContain('is locked')
    const refused = await at('true')
    expect(refused.code).toBe(255)
    expect(refused.stderr).toContain('is locked')
    const {id} = JSON.parse(locked.stdout)
    expect((await field.cluster.admin(['unlock', id])).code).toBe(0)
    expect((await at('true')).code).toBe(0)
  })
})

describe('`sallyport` itself', () => {
  let identity: string
  let home: string
  const ours = async (...words: string[]) => {
    const {web, ssh} = field.cluster.addresses
    const proxy = [`--proxy=127.0.0.1:${web.port},${ssh.port}`, `--identity=${identity}`, '--insecure']
    const [command = '', ...rest] = words
    return sallyport([command, ...proxy, ...rest], {env: {SALLYPORT_HOME: home}})
  }
  beforeAll(async () => {
    identity = join(field.directory, 'identity')
    home = join(field.directory, 'home')
    const signed = await field.cluster.admin(['auth', 'sign', '--user=joe', `--out=${identity}`])
    expect(signed.code).toBe(0)
  })

  it('finds the node with its labels, and reaches it by name, without lending an agent', async () => {
    const listed = await ours('ls', '--format=json')
    expect(JSON.parse(listed.stdout)).toMatchObject([
      {hostname: 'proxy-1', labels: {env: 'test', answer: '42'}},
    ])
    const {stdout, code} = await ours('ssh', `${login}@proxy-1`, 'echo $SSH_SESSION_ID; exit 4')
    expect(code).toBe(4)
    const sid = stdout.trim()
    expect(output(sid)).toContain(sid)
  })
})

describe.runIf(isRoot)('a node that runs as somebody else', needsRoot, () => {
  it('serves that login alone, and says so', async () => {
    const user = createLoginUser()
    const directory = join(user.home, 'cluster')
    mkdirSync(directory, {mode: 0o700})
    const minted = await mintAuthorities(directory)
    execFileSync('chown', ['-R', user.name, directory])
    const config = join(directory, 'sallyport.yaml')
    writeFileSync(config, unprivileged(directory), {mode: 0o644})
    const program = join(import.meta.dirname, '../../bin/run.js')
    const words = [program, 'start', '--roles=auth,proxy,node', `--config=${config}`]
    const service = start(process.execPath, words, {uid: user.uid, gid: user.gid, env: {HOME: user.home}})
    let log = ''
    service.stderr.on('data', chunk => (log += chunk))
    const addresses = join(directory, 'data', 'addresses.json')
    await eventually(() => existsSync(addresses), 'it listens')
    const admin = ['users', 'add', 'joe', `${user.name},${login}`, `--config=${config}`]
    expect((await sallyport(admin)).code).toBe(0)
    const own = await field.userKey({principals: [user.name, login], authorities: minted})
    const {node} = JSON.parse(readFileSync(addresses, 'utf8'))
    const to = ['-p', String(node.port), '-o', 'StrictHostKeyChecking=no']
    const client = [...options(own).slice(0, 4), ...to, '-o', 'UserKnownHostsFile=/dev/null', '-i', own.path]
    expect((await sshText([...client, where(user.name), 'id -un'])).stdout).toBe(`${user.name}\n`)
    const refused = await sshText([...client, where(), 'id -un'])
    expect(refused.stderr).toContain(`this host serves the login ${user.name} only`)
    expect(log).toContain('it serves this login only')
  })
})

const unprivileged = (directory: string): string => `
teleport: {nodename: node-1, data_dir: ${directory}/data}
auth_service: {cluster_name: test.example, session_recording: node, authentication: {second_factor: off}}
proxy_service: {listen_addr: "127.0.0.1:0", web_listen_addr: "127.0.0.1:0", tunnel_listen_addr: "127.0.0.1:0"}
ssh_service: {listen_addr: "127.0.0.1:0"}
`

describe.runIf(isRoot)('a node that runs as root', needsRoot, () => {
  let other: LoginUser
  let theirs: UserKey
  beforeAll(async () => {
    other = createLoginUser()
    await field.cluster.admin([
      'users',
      'update',
      'joe',
      `--logins=joe,${login},ec2-user,nobody-here,${other.name}`,
    ])
    theirs = await field.userKey({principals: [other.name]})
  })
  const asOther = (command: string, words: string[] = []) =>
    sshText([...direct(theirs), ...words, where(other.name), command])

  it('runs sessions as the login user, with its groups and at its home', async () => {
    const {stdout} = await asOther('id -un; id -Gn; pwd; echo $HOME')
    const [name, groups, ...homes] = stdout.trim().split('\n')
    expect(name).toBe(other.name)
    expect(groups?.split(' ')).toContain(other.group.name)
    expect(groups?.split(' ')).not.toContain('root')
    expect(homes).toEqual([other.home, other.home])
  })

  it('forwards to and from Unix sockets with the rights of the login user', async () => {
    const secret = join(field.directory, 'secret')
    mkdirSync(secret, {mode: 0o700})
    createServer(socket => socket.end('secret')).listen(join(secret, 'socket'))
    const ours = join(field.directory, 'reach')
    const back = join(other.home, 'back')
    const words = [
      '-o',
      'ExitOnForwardFailure=yes',
      '-L',
      `${ours}:${secret}/socket`,
      '-R',
      `${back}:${secret}/socket`,
    ]
    const client = start('ssh', [...direct(theirs), '-N', ...words, where(other.name)])
    await eventually(() => existsSync(ours) && existsSync(back), 'the sockets are there')
    const socket = connect(ours)
    await once(socket, 'close')
    expect(socket.bytesRead).toBe(0)
    expect(statSync(back).uid).toBe(other.uid)
    const said = await asOther(
      `python3 -c "import socket; s = socket.socket(1); s.connect('${back}'); print(s.recv(9))"`,
    )
    expect(said.stdout).toContain('secret')
    client.kill()
    await once(client, 'exit')
    await eventually(() => !existsSync(back), 'the link is gone')
    const planted = await sshText([
      ...direct(theirs),
      '-o',
      'ExitOnForwardFailure=yes',
      '-N',
      '-R',
      `/etc/planted:${ours}`,
      where(other.name),
    ])
    expect(planted.code).toBe(255)
    expect(existsSync('/etc/planted')).toBe(false)
    expect(named(field.events(), 'port').at(-1)).toMatchObject({success: false, addr: '/etc/planted'})
  })

  it('reaches a Unix socket that the login user may use', async () => {
    const listening = start('python3', [
      '-c',
      `import os, socket\nos.setuid(${other.uid})\ns = socket.socket(1); s.bind('${other.home}/own'); s.listen()\nprint('ready', flush=True)\nc = s.accept()[0]; c.send(b'own'); c.close()`,
    ])
    await once(listening.stdout, 'data')
    const ours = join(field.directory, 'own')
    const client = start('ssh', [
      ...direct(theirs),
      '-N',
      '-L',
      `${ours}:${other.home}/own`,
      where(other.name),
    ])
    await eventually(() => existsSync(ours), 'the socket is there')
    const socket = connect(ours)
    const [said] = await once(socket, 'data')
    expect(String(said)).toBe('own')
    client.kill()
  })

  it('gives no port to the login user that root alone may have', async () => {
    const {code} = await sshText([
      ...direct(theirs),
      '-o',
      'ExitOnForwardFailure=yes',
      '-N',
      '-R',
      '999:127.0.0.1:1',
      where(other.name),
    ])
    expect(code).toBe(255)
  })
})
