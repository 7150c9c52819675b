import {once} from 'node:events'
import {chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {TOTP} from 'otpauth'
import {beforeAll, describe, expect, test} from 'vitest'
import {stringify} from 'yaml'
import {webApi} from '../../src/lib/client/api/web-api.js'
import {formatIdentity} from '../../src/lib/client/identity/identity-file.js'
import {sallyport} from '../support/cluster.js'
import {eventually} from '../support/eventually.js'
import {
  addToAgent,
  extensionsWithout,
  type Field,
  login,
  sshText,
  startField,
  type UserKey,
} from '../support/field.js'
import {startAgent, writePrivateFile} from '../support/openssh.js'
import {run, start} from '../support/process.js'
import type {Sshd} from '../support/sshd.js'
import {startTmux} from '../support/tmux.js'

// Stock clients answer a prompt by SSH_ASKPASS here, which also keeps what they were asked.

const step = 30_000
const password = 'correct horse battery'

interface Person {
  key: UserKey
  secret: string
  /** Counter of the last code that was used. */
  used: number
  env: {SSH_AUTH_SOCK: string}
}

/** A cluster with a role `mfa` that asks for a second factor. */
async function openCluster(recording: 'proxy' | 'node') {
  const field = await startField(
    {
      auth_service: {
        session_recording: recording,
        authentication: {type: 'local', second_factor: 'otp'},
      },
      ssh_service: {labels: {env: 'test'}},
    },
    {roles: 'auth,proxy,node'},
  )
  const target = await field.target()
  const roles = join(field.directory, 'roles.yaml')
  const spec = {
    allow: {logins: ['{{internal.logins}}'], node_labels: {'*': '*'}},
    options: {require_session_mfa: true},
  }
  writeFileSync(roles, stringify({kind: 'role', version: 'v1', metadata: {name: 'mfa'}, spec}))
  const {host, port} = field.cluster.addresses.web
  const web = webApi({host, port, insecure: true})
  await admin(field, 'create', '-f', roles)
  const askpass = join(field.directory, 'askpass')
  writeFileSync(askpass, '#!/bin/sh\nprintf "%s\\n" "$1" >> "$PROMPTS"\nprintf "%s\\n" "$CODE"\n')
  chmodSync(askpass, 0o755)
  let prompts = 0
  return {
    field,
    target,
    /** Somebody with an authenticator and the role. */
    async person(name: string, words = 'access,mfa'): Promise<Person> {
      const made = await admin(
        field,
        'users',
        'add',
        name,
        `${name},${login}`,
        `--roles=${words}`,
        '--format=json',
      )
      const {url} = JSON.parse(made) as {url: string}
      const {otp} = await web.getInvite(tokenOf(url))
      if (!otp) throw new Error('no second factor is set up')
      // The code before this one is good, too, and leaves two for sessions, unless a new one begins meanwhile.
      const before = (): number => Math.floor(Date.now() / step) - 1
      let used = before()
      const accept = () => web.acceptInvite({token: tokenOf(url), password, otp: codeAt(otp.secret, used)})
      await accept().catch(error => {
        if (used === before()) throw error
        used = before()
        return accept()
      })
      const key = await field.userKey({
        ...{user: name, principals: [name, login]},
        extensions: [
          ...extensionsWithout('teleport-roles'),
          ['teleport-roles', JSON.stringify({version: 'v1', roles: words.split(',')})],
        ],
      })
      const place = join(field.directory, name)
      mkdirSync(place)
      const agent = await startAgent(place)
      await addToAgent(agent, key)
      return {key, secret: otp.secret, used, env: agent.env}
    },
    /** What a client gets that answers with this code, and where its questions are kept. */
    answering(code: string, person: Person) {
      const asked = join(field.directory, `prompts-${++prompts}`)
      return {
        asked: () => (existsSync(asked) ? readFileSync(asked, 'utf8').trim().split('\n') : []),
        env: {...person.env, SSH_ASKPASS: askpass, SSH_ASKPASS_REQUIRE: 'force', CODE: code, PROMPTS: asked},
      }
    },
  }
}

async function admin({cluster}: Field, ...args: string[]): Promise<string> {
  const {code, stdout, stderr} = await cluster.admin(args)
  if (code !== 0) throw new Error(stderr)
  return stdout
}

const tokenOf = (url: string): string => url.slice(url.lastIndexOf('/') + 1)

const codeAt = (secret: string, counter: number): string =>
  new TOTP({secret}).generate({timestamp: counter * step})

/** A code that is good now and was not used. */
async function nextCode(person: Person): Promise<string> {
  const counter = Math.max(person.used + 1, Math.floor(Date.now() / step))
  const early = counter * step - step - Date.now()
  // A third code within a minute has to be waited for, as by everybody.
  if (early > 0) await new Promise(resolve => setTimeout(resolve, early))
  person.used = counter
  return codeAt(person.secret, counter)
}

const asking = ['-o', 'BatchMode=no', '-o', 'PreferredAuthentications=publickey,keyboard-interactive']
const question = /^\(\S+@\S+\) Code of your authenticator app: ?$/

describe('through the recording proxy', () => {
  let world: Awaited<ReturnType<typeof openCluster>>
  let field: Field
  let target: Sshd
  beforeAll(async () => {
    world = await openCluster('proxy')
    ;({field, target} = world)
  })
  const way = ({key}: Person, port = target.port): string[] => [
    ...asking,
    ...field.throughSubsystem(key),
    ...['-p', String(port)],
  ]
  const here = `${login}@127.0.0.1`

  test('stock ssh is asked for the code, and gets its session', async () => {
    const joe = await world.person('joe1')
    const {env, asked} = world.answering(await nextCode(joe), joe)
    const {result, events} = await field.during(() => sshText([...way(joe), here, 'echo in'], {env}))
    expect(result).toMatchObject({code: 0, stdout: 'in\n'})
    expect(asked()).toEqual([expect.stringMatching(question)])
    expect(events.find(({event}) => event === 'mfa_auth_challenge.validate')).toMatchObject({
      ...{success: true, user: 'joe1', login, server_hostname: '127.0.0.1'},
    })
    // The same code again, and with -J.
    const jump = await sshText(
      [...asking, ...field.throughJump(joe.key), '-p', String(target.port), here, 'true'],
      {env},
    )
    expect(jump.code).toBe(255)
    expect(jump.stderr).toContain('that code is wrong, or was used before')
    const fresh = world.answering(await nextCode(joe), joe)
    const again = await sshText(
      [...asking, ...field.throughJump(joe.key), '-p', String(target.port), here, 'echo in'],
      {env: fresh.env},
    )
    expect(again).toMatchObject({code: 0, stdout: 'in\n'})
  })

  test('a wrong code leads nowhere: no session, no connection to the host', async () => {
    const joe = await world.person('joe2')
    const right = codeAt(joe.secret, Math.floor(Date.now() / step))
    const {env, asked} = world.answering(right === '000000' ? '000001' : '000000', joe)
    const {result, events} = await field.during(() => sshText([...way(joe), here, 'echo in'], {env}))
    expect(result).toMatchObject({code: 255, stdout: ''})
    expect(result.stderr).toContain('that code is wrong, or was used before')
    expect(asked()).toHaveLength(3)
    const names = events.map(({event, success}) => `${event} ${success}`)
    expect(names.filter(name => name === 'mfa_auth_challenge.validate false')).toHaveLength(3)
    expect(names).toContain('auth false')
    expect(names.some(name => /^session\./.test(name))).toBe(false)
  })

  test('nobody is asked in batch mode, and stderr says why it failed', async () => {
    const joe = await world.person('joe3')
    const words = [...field.throughSubsystem(joe.key), '-p', String(target.port), here, 'true']
    const {code, stderr} = await sshText(words, {env: joe.env})
    expect(code).toBe(255)
    expect(stderr).toContain(
      'sallyport: a code of your authenticator app is needed for this connection, typed at a terminal',
    )
  })

  test('sessions of one connection are asked for once', async () => {
    const joe = await world.person('joe4')
    const {env, asked} = world.answering(await nextCode(joe), joe)
    const socket = join(field.directory, 'control')
    const shared = [...way(joe), '-o', `ControlPath=${socket}`]
    const master = start('ssh', [...shared, '-M', '-N', here], {env})
    await eventually(() => existsSync(socket), 'the master was there')
    for (const word of ['one', 'two']) {
      const {code, stdout} = await sshText([...shared, here, `echo ${word}`], {env})
      expect({code, stdout}).toEqual({code: 0, stdout: `${word}\n`})
    }
    expect(asked()).toHaveLength(1)
    await run('ssh', [...shared, '-O', 'exit', here], {env})
    if (master.exitCode === null) await once(master, 'exit')
  })

  test('sftp and scp ask like ssh', async () => {
    const ann = await world.person('ann1')
    const source = join(field.directory, 'source')
    writeFileSync(source, 'content\n')
    const options = [...asking, ...field.throughSubsystem(ann.key)]
    for (const [program, words] of [
      ['scp', ['-P', String(target.port), source, `${here}:${source}-scp`]],
      ['sftp', ['-P', String(target.port), '-b', '-', here]],
    ] as const) {
      const {env, asked} = world.answering(await nextCode(ann), ann)
      const input = program === 'sftp' ? `put ${source} ${source}-sftp\n` : ''
      // sftp -b sets BatchMode by itself, after what is given first.
      const {code, stderr} = await run(program, [...options, ...words], {env, input})
      expect({code, stderr: stderr.toString()}).toMatchObject({code: 0})
      expect(asked()).toHaveLength(1)
      expect(readFileSync(`${source}-${program}`, 'utf8')).toBe('content\n')
    }
  })

  test('a node of ours is reached with one code', async () => {
    const joe = await world.person('joe5')
    const {env, asked} = world.answering(await nextCode(joe), joe)
    const {port} = field.cluster.addresses.node ?? {port: 0}
    const {code, stdout, stderr} = await sshText(
      [...way(joe, port), `${login}@proxy-1`, 'echo at the node'],
      {env},
    )
    expect({code, stdout, stderr}).toMatchObject({code: 0, stdout: 'at the node\n'})
    expect(asked()).toHaveLength(1)
  })

  test('a node asks who comes directly', async () => {
    const joe = await world.person('joe6')
    const {port} = field.cluster.addresses.node ?? {port: 0}
    const direct = [
      ...['-F', 'none', '-o', `UserKnownHostsFile=${field.knownHosts}`, '-o', 'StrictHostKeyChecking=yes'],
      ...['-o', 'IdentitiesOnly=yes', '-i', joe.key.path, '-p', String(port)],
    ]
    const batch = await sshText([...direct, '-o', 'BatchMode=yes', here, 'true'], {env: joe.env})
    expect(batch).toMatchObject({code: 255, stderr: expect.stringContaining('authenticator app is needed')})
    const {env, asked} = world.answering(await nextCode(joe), joe)
    const {code, stdout} = await sshText([...direct, ...asking, here, 'echo in'], {env})
    expect({code, stdout, asked: asked().length}).toEqual({code: 0, stdout: 'in\n', asked: 1})
  })

  test('who has no authenticator is told the way to one', async () => {
    const ann = await world.person('ann2')
    await admin(field, 'users', 'reset', 'ann2')
    const {env, asked} = world.answering('000000', ann)
    const {code, stderr} = await sshText([...way(ann), here, 'true'], {env})
    expect(code).toBe(255)
    expect(stderr).toContain("ann2 has none: an administrator's `users reset` makes a link that sets one up")
    expect(asked()).toEqual([])
    const explained = await field.cluster.admin(['access', 'explain', `ann2@127.0.0.1`, `--login=${login}`])
    expect(explained).toMatchObject({code: 15, stdout: expect.stringContaining('ann2 has none')})
  })

  test('who does not need it is not asked', async () => {
    const bob = await world.person('bob1', 'access')
    const {env, asked} = world.answering('000000', bob)
    expect(await sshText([...way(bob), here, 'echo in'], {env})).toMatchObject({code: 0, stdout: 'in\n'})
    expect(asked()).toEqual([])
  })

  test('sallyport ssh asks at the terminal, also where its input is a file', async () => {
    const joe = await world.person('joe7')
    const {ssh, web} = field.cluster.addresses
    const identity = writePrivateFile(
      join(field.directory, 'joe7.pem'),
      formatIdentity({
        ...joe.key,
        hostAuthorities: field.minted.authorities.publicKeys('host'),
        cluster: 'test.example',
      }),
    )
    const words = [`--proxy=127.0.0.1:${web.port},${ssh.port}`, `--identity=${identity}`, '--insecure', '-A']
    const host = ['-p', String(target.port), here]
    const without = await sallyport(['ssh', ...words, ...host, 'true'], {env: joe.env})
    expect(without).toMatchObject({code: 2, stderr: expect.stringContaining('without a terminal')})
    const terminal = startTmux(joe.env, {columns: 200, rows: 24})
    const program = join(import.meta.dirname, '../../bin/run.js')
    const line = [process.execPath, program, 'ssh', ...words, ...host]
    const input = join(field.directory, 'joe7.txt')
    writeFileSync(input, 'from a file\n')
    terminal.type(`${line.join(' ')} cat < ${input}`)
    await terminal.until(/Code of your authenticator app:/)
    terminal.type(await nextCode(joe))
    await terminal.until(/^from a file$/m)
    terminal.type(`clear; ${line.join(' ')} 'echo typed-$((1+1))'`)
    await terminal.until(/Code of your authenticator app:/)
    terminal.type(await nextCode(joe))
    await terminal.until(/^typed-2$/m)
  })

  test('whoever joins a session shows it, too', async () => {
    const [owner, guest] = [await world.person('own1', 'access'), await world.person('mod1', 'auditor,mfa')]
    const running = start('ssh', [...way(owner), '-tt', here, 'cat'], {env: owner.env})
    const sid = await eventually(async () => {
      const list = JSON.parse(await admin(field, 'sessions', 'ls', '--format=json')) as {
        sid: string
        user: string
      }[]
      return list.find(({user}) => user === 'own1')?.sid
    }, 'the session was listed')
    const {ssh} = field.cluster.addresses
    const words = [
      ...['-F', 'none', '-o', 'BatchMode=yes', '-o', `UserKnownHostsFile=${field.knownHosts}`],
      ...['-i', guest.key.path, '-o', 'IdentitiesOnly=yes', '-p', String(ssh.port)],
      ...['mod1@127.0.0.1', '-s', `join:${sid}`],
    ]
    const joining = (input: string) => run('ssh', words, {input, env: guest.env})
    const {result: refused, events} = await field.during(() => joining(''))
    expect(refused).toMatchObject({code: 255})
    expect(refused.stderr.toString()).toContain('joining a session needs a code of your authenticator app')
    expect(events.some(({event}) => event === 'session.join')).toBe(false)
    const wrong = await joining('000000\n000000\n000000\n')
    expect(wrong.stderr.toString()).toContain('that code is wrong, or was used before')
    const code = await nextCode(guest)
    const joined = start('ssh', words, {env: guest.env})
    let told = ''
    joined.stderr.on('data', (chunk: Buffer) => {
      told += chunk.toString('utf8')
    })
    joined.stdin.write(`${code}\n`)
    await eventually(() => told.includes('you are joining session'), 'the guest was let in')
    const watchers = JSON.parse(await admin(field, 'sessions', 'ls', '--format=json')) as {
      sid: string
      participants: {user: string}[]
    }[]
    expect(watchers.find(one => one.sid === sid)?.participants).toMatchObject([{user: 'mod1'}])
    joined.kill()
    running.kill()
  })
})

describe('where the proxy passes on what it cannot read', () => {
  test('a node of ours asks, and the way to plain sshd is closed', async () => {
    const world = await openCluster('node')
    const {field, target} = world
    const joe = await world.person('jim')
    const {port} = field.cluster.addresses.node ?? {port: 0}
    const {env, asked} = world.answering(await nextCode(joe), joe)
    const way = [...asking, ...field.throughSubsystem(joe.key)]
    const node = await sshText([...way, '-p', String(port), `${login}@proxy-1`, 'echo in'], {env})
    expect(node).toMatchObject({code: 0, stdout: 'in\n'})
    expect(asked()).toHaveLength(1)
    const {result, events} = await field.during(() =>
      sshText([...way, '-p', String(target.port), `${login}@127.0.0.1`, 'echo in'], {env}),
    )
    expect(result.code).toBe(255)
    expect(result.stderr).toContain(
      'your sessions need a second factor, and nobody on the way to this host can ask for it',
    )
    expect(events).toMatchObject([{event: 'session.connect', success: false}])
  })
})
