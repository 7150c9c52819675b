import {execFileSync} from 'node:child_process'
import {existsSync, mkdirSync, mkdtempSync, readdirSync, statSync, symlinkSync, writeFileSync} from 'node:fs'
import {connect, createServer} from 'node:net'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import type {Duplex} from 'node:stream'
import {beforeAll, describe, expect, test} from 'vitest'
import {
  type Account,
  openAgentSocket,
  readEnvironmentFile,
  resolveAccount,
  sweepAgentSockets,
} from '../../src/lib/node/process/index.js'
import {atEnd} from '../support/cleanup.js'
import {createLoginUser, isRoot, type LoginUser, needsRoot, withoutRoot} from '../support/login-user.js'
import {run, start} from '../support/process.js'
import {temporaryDirectory} from '../support/temporary-directory.js'

if (!isRoot) console.log(`skipped in node-user-files: ${withoutRoot}`)

let own: Account

beforeAll(async () => {
  own = await resolveAccount(execFileSync('id', ['-un'], {encoding: 'utf8'}).trim())
})

const echo = (stream: Duplex): void => void stream.pipe(stream)

/** A number that no process has any more. */
const deadPid = async (): Promise<number> => {
  const child = start('true', [])
  await new Promise(resolve => child.once('exit', resolve))
  return child.pid ?? 0
}

/** A socket in a directory of a node that was killed: the file is there, and nobody listens. */
async function abandonedSocket(
  parent: string,
  pid: number,
  name = `teleport-${pid}.socket`,
): Promise<string> {
  const directory = mkdtempSync(join(parent, 'teleport-'))
  const path = join(directory, name)
  const child = start(process.execPath, [
    ...[
      '-e',
      `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 9))`,
    ],
  ])
  await new Promise(resolve => child.once('exit', resolve))
  expect(statSync(path).isSocket()).toBe(true)
  return directory
}

describe('the socket of an agent', () => {
  test('passes its connections on, and goes with everything that belongs to it', async () => {
    const parent = temporaryDirectory()
    const socket = await openAgentSocket({account: own, directory: parent, onConnection: echo})
    expect(socket.path).toMatch(
      new RegExp(`^${parent}/teleport-[A-Za-z0-9]{6}/teleport-${process.pid}\\.socket$`),
    )
    expect(statSync(socket.path).mode & 0o777).toBe(0o600)
    expect(statSync(join(socket.path, '..')).mode & 0o777).toBe(0o700)
    const client = connect(socket.path)
    const answer = new Promise(resolve => client.once('data', resolve))
    client.write('hello')
    expect(String(await answer)).toBe('hello')
    const ended = new Promise(resolve => client.once('close', resolve))
    await socket.close()
    await ended
    expect(readdirSync(parent)).toEqual([])
  })

  test('answers parallel connections, a bounded number of them', async () => {
    const parent = temporaryDirectory()
    const socket = await openAgentSocket({account: own, directory: parent, onConnection: echo})
    const answers = await Promise.all(
      Array.from({length: 80}, () => {
        const client = connect(socket.path)
        client.on('error', () => undefined)
        client.write('x')
        return new Promise<boolean>(resolve => {
          client.once('data', () => resolve(true))
          client.once('close', () => resolve(false))
        })
      }),
    )
    expect(answers.filter(Boolean)).toHaveLength(64)
    await socket.close()
  })

  test('is not made where others could put another in its place', async () => {
    const parent = temporaryDirectory()
    execFileSync('chmod', ['777', parent])
    await expect(
      openAgentSocket({account: own, directory: parent, onConnection: echo}),
    ).rejects.toMatchObject({
      code: 'unavailable',
    })
    expect(readdirSync(parent)).toEqual([])
    execFileSync('chmod', ['1777', parent])
    await (await openAgentSocket({account: own, directory: parent, onConnection: echo})).close()
  })

  test('needs a path that a socket can have', async () => {
    const parent = join(temporaryDirectory(), 'x'.repeat(90))
    mkdirSync(parent)
    await expect(openAgentSocket({account: own, directory: parent, onConnection: echo})).rejects.toThrow(
      /too long/,
    )
    expect(readdirSync(parent)).toEqual([])
  })

  test('leaves alone what a user has put into its directory, or in its place', async () => {
    const parent = temporaryDirectory()
    const precious = join(parent, 'precious')
    mkdirSync(precious)
    const name = `teleport-${process.pid}.socket`
    writeFileSync(join(precious, name), 'not yours')
    const socket = await openAgentSocket({account: own, directory: parent, onConnection: echo})
    const directory = join(socket.path, '..')
    execFileSync('mv', [directory, `${directory}.moved`])
    symlinkSync(precious, directory)
    await socket.close()
    expect(existsSync(join(precious, name))).toBe(true)
    expect(existsSync(`${directory}.moved/${name}`)).toBe(false)

    const second = await openAgentSocket({account: own, directory: parent, onConnection: echo})
    writeFileSync(join(second.path, '..', 'mine'), '')
    await second.close()
    expect(readdirSync(join(second.path, '..'))).toEqual(['mine'])
  })
})

describe('sweeping sockets of agents', () => {
  test('removes those of nodes that were killed', async () => {
    const parent = temporaryDirectory()
    const stale = await abandonedSocket(parent, await deadPid())
    const sameNumber = await abandonedSocket(parent, process.pid)
    expect(await sweepAgentSockets(parent)).toBe(2)
    expect(existsSync(stale)).toBe(false)
    expect(existsSync(sameNumber)).toBe(false)
  })

  test('leaves alone what is in use, and all that only looks like one', async () => {
    const parent = temporaryDirectory()
    const pid = await deadPid()
    const live = await openAgentSocket({account: own, directory: parent, onConnection: echo})
    // Of a node that still runs, and of one in another container that cannot be seen.
    await abandonedSocket(parent, process.ppid)
    const elsewhere = mkdtempSync(join(parent, 'teleport-'))
    const server = createServer().listen(join(elsewhere, `teleport-${pid}.socket`))
    await new Promise(resolve => server.once('listening', resolve))
    atEnd(() => void server.close())
    // A planted link, a file in the place of a socket, other names, company, an empty one.
    const outside = temporaryDirectory()
    await abandonedSocket(outside, pid)
    symlinkSync(join(outside, readdirSync(outside)[0] ?? ''), join(parent, 'teleport-planted'.slice(0, 15)))
    mkdirSync(join(parent, 'teleport-abcdef'))
    writeFileSync(join(parent, 'teleport-abcdef', `teleport-${pid}.socket`), '')
    await abandonedSocket(parent, pid, 'teleport-.socket')
    await abandonedSocket(parent, pid, `teleport-${pid}.socket.old`)
    writeFileSync(join(await abandonedSocket(parent, pid), 'mine'), '')
    mkdirSync(join(parent, 'teleport-empty0'))
    const before = execFileSync('find', [parent, outside], {encoding: 'utf8'})
    expect(await sweepAgentSockets(parent)).toBe(0)
    expect(execFileSync('find', [parent, outside], {encoding: 'utf8'})).toBe(before)
    await live.close()
  })
})

describe.runIf(isRoot)('of another user', needsRoot, () => {
  let user: LoginUser
  let account: Account

  beforeAll(async () => {
    user = createLoginUser()
    account = await resolveAccount(user.name)
  })

  const asUser = (command: string): void =>
    void execFileSync('su', ['-s', '/bin/sh', user.name, '-c', `cd && ${command}`])

  test('the account has its groups, and only under its own name', async () => {
    expect(account).toMatchObject({uid: user.uid, gid: user.gid, home: user.home, shell: '/bin/bash'})
    expect([...account.groups].sort()).toEqual([user.gid, user.group.gid].sort())
    await expect(resolveAccount(user.name.toUpperCase())).rejects.toMatchObject({code: 'not_found'})
    await expect(resolveAccount(String(user.uid))).rejects.toMatchObject({code: 'not_found'})
  })

  test('an account that has expired is refused', async () => {
    const gone = createLoginUser()
    await resolveAccount(gone.name)
    execFileSync('usermod', ['--expiredate', '1', gone.name])
    await expect(resolveAccount(gone.name)).rejects.toMatchObject({code: 'access_denied'})
  })

  test('the socket of an agent is out of reach for everybody else', async () => {
    const stranger = createLoginUser()
    const socket = await openAgentSocket({account, directory: tmpdir(), onConnection: echo})
    expect(statSync(socket.path)).toMatchObject({uid: user.uid, gid: user.gid})
    const knock = `require('net').connect(${JSON.stringify(socket.path)}).on('connect',()=>process.exit(7)).on('error',()=>process.exit(8))`
    const from = ({uid, gid}: LoginUser) => run(process.execPath, ['-e', knock], {uid, gid, cwd: '/'})
    expect((await from(user)).code).toBe(7)
    expect((await from(stranger)).code).toBe(8)
    await socket.close()
    expect(existsSync(join(socket.path, '..'))).toBe(false)
  })

  test('~/.tsh/environment is read as the user, whatever it leads to', async () => {
    expect(await readEnvironmentFile(account)).toEqual(new Map())
    asUser('mkdir .tsh && printf "A=1\\nLD_PRELOAD=x\\n" > .tsh/environment')
    expect(await readEnvironmentFile(account)).toEqual(new Map([['A', '1']]))

    const secret = join(temporaryDirectory(), 'secret')
    writeFileSync(secret, 'KEY=secret', {mode: 0o600})
    asUser(`ln -sf ${secret} .tsh/environment`)
    expect(await readEnvironmentFile(account)).toEqual(new Map())

    asUser('rm .tsh/environment; mkfifo .tsh/environment')
    expect(await readEnvironmentFile(account)).toEqual(new Map())

    asUser('rm .tsh/environment; (echo A=1; head -c 70000 /dev/zero | tr "\\\\0" "#") > .tsh/environment')
    expect(await readEnvironmentFile(account)).toEqual(new Map())

    asUser('rm .tsh/environment; ln -s /dev/zero .tsh/environment')
    expect(await readEnvironmentFile(account)).toEqual(new Map())
  })
})

describe('a node that does not run as root', () => {
  test.runIf(isRoot)('serves its own user, and says that it serves no other', needsRoot, async context => {
    const user = createLoginUser()
    const readable = await run('test', ['-r', 'package.json'], {
      uid: user.uid,
      gid: user.gid,
      cwd: process.cwd(),
    })
    context.skip(readable.code !== 0, 'other users may not read this directory')
    const source = new URL('../../src/lib/node/process/index.ts', import.meta.url).href
    const probe = `
      const {resolveAccount, startProcess} = await import(${JSON.stringify(source)})
      const environment = {PATH: '/usr/bin:/bin'}
      const account = await resolveAccount(${JSON.stringify(user.name)})
      const terminal = {term: 'xterm', columns: 80, rows: 24, modes: Buffer.alloc(0)}
      for (const options of [{}, {terminal}]) {
        const running = await startProcess({account, environment, program: {kind: 'command', command: 'id -un; id -Gn'}, ...options})
        for await (const chunk of running.stdout) process.stdout.write(chunk)
        console.log(await running.exited)
      }
      for (const attempt of [
        () => resolveAccount('root'),
        () => startProcess({account: {...account, uid: 0}, environment, program: {kind: 'shell'}}),
      ]) await attempt().then(() => console.log('no refusal'), error => console.log(error.code, error.message))`
    const result = await run(
      'setpriv',
      [
        ...[`--reuid=${user.uid}`, `--regid=${user.gid}`, '--init-groups', process.execPath],
        ...['--import', 'tsx', '--input-type=module', '-e', probe],
      ],
      {cwd: process.cwd(), env: {HOME: user.home, TMPDIR: user.home}},
    )
    const own = `${user.name}\r?\n${user.name} ${user.group.name}\r?\n{ code: 0 }\n`
    expect(result.stdout.toString() + result.stderr).toMatch(
      new RegExp(
        `^${own}${own}access_denied this host serves the login ${user.name} only\naccess_denied this node does not`,
      ),
    )
  })
})
