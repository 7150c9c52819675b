import {once} from 'node:events'
import {readFileSync, statSync} from 'node:fs'
import {join} from 'node:path'
import {beforeAll, describe, expect, test, vi} from 'vitest'
import {sallyport, startSallyport} from '../support/cluster.js'
import {eventually} from '../support/eventually.js'
import {addToAgent, type Event, type Field, login, startField, type UserKey} from '../support/field.js'
import {addOnlookers} from '../support/onlookers.js'
import {startAgent} from '../support/openssh.js'
import {type PipedProcess, run, start} from '../support/process.js'
import {sallyportPath} from '../support/service.js'
import type {Sshd} from '../support/sshd.js'
import {temporaryDirectory} from '../support/temporary-directory.js'
import {startTmux, type Tmux} from '../support/tmux.js'

// The owner of every session here is joe, with stock ssh; those who join use our client unless a test says otherwise.

vi.setConfig({testTimeout: 60_000})

let field: Field
let key: UserKey
let target: Sshd
let proxy: string

interface Running {
  sid: string
  state: string
  user: string
  host: string
  command: string | null
  participants: {user: string; mode: string}[]
}

beforeAll(async () => {
  field = await startField()
  key = await field.userKey()
  target = await field.target()
  const {ssh, web} = field.cluster.addresses
  proxy = `127.0.0.1:${web.port},${ssh.port}`
  await addOnlookers({directory: field.directory, admin, identityOf})
})

const identityOf = (user: string): string => join(field.directory, `identity-${user}`)

async function admin(...args: string[]): Promise<string> {
  const {code, stdout, stderr} = await field.cluster.admin(args)
  if (code !== 0) throw new Error(stderr)
  return stdout
}

const as = (user: string, ...args: string[]): string[] => [
  ...args,
  `--proxy=${proxy}`,
  `--identity=${identityOf(user)}`,
  '--insecure',
]

const command = (words: readonly string[]): string => words.map(word => `'${word}'`).join(' ')

const sshWords = (more: string[] = []): string[] => [
  'ssh',
  ...field.throughSubsystem(key),
  ...more,
  '-p',
  String(target.port),
  `${login}@127.0.0.1`,
]

const running = async (): Promise<Running[]> =>
  JSON.parse(await admin('sessions', 'ls', '--format=json')) as Running[]

/** joe's shell on the target, in a terminal. */
async function ownSession(size?: {columns: number; rows: number}): Promise<{tmux: Tmux; sid: string}> {
  const before = new Set((await running()).map(({sid}) => sid))
  await addKey()
  const tmux = startTmux(field.agent.env, size)
  tmux.type(`clear; exec ${command(sshWords())}`)
  await tmux.until(/[#$] $|[#$]$/m)
  tmux.type("PS1='ready> '; clear")
  await tmux.until(/^ready>/m)
  const [found] = (await running()).filter(({sid}) => !before.has(sid))
  if (!found) throw new Error('the session is not listed')
  return {tmux, sid: found.sid}
}

let added = false
async function addKey(): Promise<void> {
  if (added) return
  added = true
  await addToAgent(field.agent, key)
}

/** A command of ours in a terminal of its own. */
function inTerminal(user: string, ...args: string[]): Tmux {
  const tmux = startTmux()
  tmux.type(`clear; ${command([sallyportPath, ...as(user, ...args)])}; echo "status $?"`)
  return tmux
}

/** Megabytes. */
const residentMemory = (pid: number): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024

const eventsOf = (sid: string, ...names: string[]): Event[] =>
  field.events().filter(event => event.sid === sid && names.includes(event.event))

describe('a session of plain sshd', () => {
  test('is listed while it runs, to those who may see it', async () => {
    const {tmux, sid} = await ownSession()
    const mine = (list: Running[]) => list.filter(one => one.sid === sid)
    expect(mine(await running())).toMatchObject([
      {sid, state: 'running', user: 'joe', host: '127.0.0.1', participants: []},
    ])
    const listed = async (user: string): Promise<Running[]> => {
      const {stdout} = await sallyport(as(user, 'sessions', 'ls', '--format=json'))
      return mine(JSON.parse(stdout))
    }
    for (const user of ['ann', 'mod', 'pia']) expect(await listed(user)).toHaveLength(1)
    for (const user of ['bob', 'sue']) expect(await listed(user)).toEqual([])
    const text = await sallyport(as('ann', 'sessions', 'ls'))
    expect(text.stdout).toContain(sid)
    tmux.type('exit')
    await eventually(() => eventsOf(sid, 'session.end').length === 1, 'the session ended')
    expect(mine(await running())).toEqual([])
  })

  test('shows a latecomer the screen that its user sees, and then what comes', async () => {
    const {tmux, sid} = await ownSession()
    tmux.type(String.raw`printf '\033[2J\033[5;10H\033[1;31mключ 漢字\033[0m\033[12;1H'`)
    await tmux.until(/ключ 漢字/)
    const watcher = inTerminal('ann', 'sessions', 'watch', sid)
    await watcher.until(/ключ 漢字/)
    await watcher.until(/^ready>/m)
    tmux.type('echo after-$((40 + 2))')
    await watcher.until(/after-42/)
    // Each where it stands: the owner's screen has a line of the proxy's more, which is beside the output.
    for (const one of [tmux, watcher]) await one.until(/echo after-\$\(\(40 \+ 2\)\)\nafter-42\nready>$/m)
    expect(watcher.screen()[4]).toBe('         ключ 漢字')
    expect(tmux.screen()[4]).toBe('         ключ 漢字')
    watcher.press('C-c')
    await watcher.until(/status 0/)
    await tmux.until(/ann, who joined as observer, has left/)
    tmux.type('exit')
    const [end] = await eventually(() => {
      const found = eventsOf(sid, 'session.end')
      return found.length > 0 && found
    }, 'the session ended')
    expect(end?.participants).toEqual(['joe', 'ann'])
    const [joined, left] = eventsOf(sid, 'session.join', 'session.leave')
    expect(joined).toMatchObject({
      event: 'session.join',
      code: 'T2001I',
      user: 'ann',
      mode: 'observer',
      owner: 'joe',
    })
    expect(left).toMatchObject({event: 'session.leave', code: 'T2003I', user: 'ann', typed: 0})
    expect(left?.participant_id).toBe(joined?.participant_id)
    expect(left?.participant_id).not.toBe(sid)
  })

  test('takes what a peer types, and is shown to a pipe', async () => {
    const {tmux, sid} = await ownSession()
    const peer = inTerminal('pia', 'join', sid, '-m', 'peer')
    await tmux.until(/pia has joined as peer/)
    await peer.until(/^ready>/m)
    const pipe = startSallyport(as('ann', 'sessions', 'watch', sid))
    let piped = ''
    pipe.stdout.on('data', (data: Buffer) => {
      piped += data.toString('utf8')
    })
    await tmux.until(/ann has joined/)
    peer.type('echo from-$((20 + 1))-pia')
    for (const one of [tmux, peer]) await one.until(/from-21-pia/)
    await eventually(() => piped.includes('from-21-pia'), 'the pipe got it')
    tmux.type('exit')
    await peer.until(/the session has ended/)
    await peer.until(/status 0/)
    await eventually(() => pipe.exitCode === 0, 'the watcher ended with the session')
    const left = eventsOf(sid, 'session.leave').find(({user}) => user === 'pia')
    expect(left?.typed).toBeGreaterThan(10)
  })

  test('is ended by a moderator, from within and from without, and its user is told by whom', async () => {
    const one = await ownSession()
    const moderator = inTerminal('mod', 'join', one.sid, '--mode=moderator')
    await one.tmux.until(/mod has joined as moderator/)
    moderator.press('t')
    await eventually(() => eventsOf(one.sid, 'session.end').length === 1, 'the first ended')
    await moderator.until(/mod has ended this session/)
    const other = await ownSession()
    const ended = await sallyport(as('mod', 'sessions', 'end', other.sid, '--reason=the host goes down'))
    expect(ended).toMatchObject({code: 0, stderr: ''})
    expect(String(ended.stdout)).toBe(`Session ${other.sid} has been told to end\n`)
    await eventually(() => eventsOf(other.sid, 'session.end').length === 1, 'the second ended')
    expect(eventsOf(other.sid, 'session.end')[0]).toMatchObject({
      ended_by: 'mod',
      reason: 'the host goes down',
    })
    expect(eventsOf(other.sid, 'client.disconnect')[0]).toMatchObject({by: 'mod'})
  })
})

describe('the administrator on the auth host', () => {
  const watching = (sid: string): string[] => [
    'sessions',
    'watch',
    sid,
    `--data-dir=${field.cluster.dataDir}`,
  ]

  test('looks on without a login, is announced and on record, and cannot type', async () => {
    const {tmux, sid} = await ownSession()
    tmux.type(String.raw`printf '\033[2J\033[5;10Hключ'`)
    await tmux.until(/ключ/)
    const watcher = startTmux()
    watcher.type(`clear; ${command([sallyportPath, ...watching(sid)])}; echo status $?`)
    await watcher.until(/ключ/)
    await tmux.until(/admin has joined as observer/)
    watcher.type('touch nothing')
    tmux.type('echo after-$((40 + 2))')
    await watcher.until(/after-42/)
    expect(tmux.screen().join('\n')).not.toContain('nothing')
    watcher.press('C-c')
    await watcher.until(/status 0/)
    await tmux.until(/admin, who joined as observer, has left/)
    expect(eventsOf(sid, 'session.join')).toMatchObject([
      {success: true, user: 'admin', mode: 'observer', proto: 'unix', owner: 'joe'},
    ])
    await eventually(() => eventsOf(sid, 'session.leave').length === 1, 'the leaving is on record')
    tmux.type('exit')
  })

  test('watches into a pipe until the session ends', async () => {
    const {tmux, sid} = await ownSession()
    const pipe = startSallyport(watching(sid))
    let piped = ''
    pipe.stdout.on('data', (data: Buffer) => {
      piped += data.toString('utf8')
    })
    await tmux.until(/admin has joined as observer/)
    tmux.type('echo from-$((20 + 1))')
    await eventually(() => piped.includes('from-21'), 'the pipe got it')
    const closed = once(pipe, 'close')
    tmux.type('exit')
    expect((await closed)[0]).toBe(0)
  })

  test('is told of a session that does not run, and alone may open the socket', async () => {
    const refused = await sallyport(watching('11111111-2222-4333-8444-555555555555'))
    expect([refused.code, refused.stderr]).toEqual([34, expect.stringContaining('runs now')])
    expect(statSync(join(field.cluster.dataDir, 'watch.sock')).mode & 0o777).toBe(0o600)
    const nowhere = await sallyport([
      ...['sessions', 'watch', '11111111-2222-4333-8444-555555555555', `--data-dir=${temporaryDirectory()}`],
    ])
    expect(nowhere.code).toBe(31)
  })
})

test('whoever is locked is put out, and the session goes on', async () => {
  const {tmux, sid} = await ownSession()
  const watcher = inTerminal('ann', 'sessions', 'watch', sid)
  await tmux.until(/ann has joined as observer/)
  const lock = JSON.parse(await admin('lock', '--user=ann', '--format=json')) as {id: string}
  try {
    await watcher.until(/status [1-9]/)
    expect(watcher.screen().join(' ')).toContain('the user ann is locked')
    await tmux.until(/ann, who joined as observer, has left/)
    tmux.type('echo still-$((1 + 1))')
    await tmux.until(/still-2/)
  } finally {
    await admin('unlock', lock.id)
    tmux.type('exit')
  }
})

describe('nobody joins', () => {
  test.each([
    ['whose roles do not say so', 'bob', 'observer', /no session "[^"]+" runs now/, 34],
    ['in a mode that roles do not name', 'ann', 'peer', /do not let you join this session as peer/, 15],
    ['as moderator who may type', 'pia', 'moderator', /do not let you join this session as moderator/, 15],
  ])('%s', async (_, user, mode, message, status) => {
    const {tmux, sid} = await ownSession()
    const refused = await sallyport(as(user, 'join', sid, '-m', mode))
    expect(refused.code).toBe(status)
    expect(refused.stderr).toMatch(message)
    expect(eventsOf(sid, 'session.join')).toMatchObject([{success: false, code: 'T2001W', user, mode}])
    expect(tmux.screen().join('\n')).not.toContain(user)
    tmux.type('exit')
  })

  test('a session that does not run, or is none', async () => {
    for (const sid of ['11111111-2222-4333-8444-555555555555', '../etc/passwd', 'x:y:z']) {
      const refused = await sallyport(as('ann', 'sessions', 'watch', sid))
      expect(refused.code).toBe(sid.includes('-') ? 34 : 2)
      expect(refused.stderr).toMatch(/^sallyport: /)
    }
    const refused = await sallyport(as('ann', 'sessions', 'end', '11111111-2222-4333-8444-555555555555'))
    expect(refused.code).toBe(34)
  })
})

describe('whose roles want somebody to look on', () => {
  const sue = (more: string[] = []): string[] => [
    ...as('sue', 'ssh', '-p', String(target.port), ...more),
    `${login}@127.0.0.1`,
  ]
  const pendingOf = (user: string) => async (): Promise<Running | undefined> =>
    (await running()).find(one => one.user === user)

  test('waits for them, pauses without them, and goes on', async () => {
    const owner = startTmux()
    owner.type(`clear; exec ${command([sallyportPath, ...sue()])}`)
    await owner.until(/begins when there is\s+1 moderator with the role moderates \(four eyes\)/)
    const pending = await pendingOf('sue')()
    expect(pending).toMatchObject({state: 'pending'})
    const sid = pending?.sid ?? ''
    expect(await admin('sessions', 'ls')).toContain(`${sid} waits for 1 moderator`)
    const first = inTerminal('mod', 'join', sid, '--mode=observer')
    await owner.until(/mod has joined as observer/)
    expect(owner.screen().join('\n')).not.toMatch(/[#$] *$/m)
    const moderator = inTerminal('mod', 'join', sid, '--mode=moderator')
    await owner.until(/[#$] *$/m)
    first.press('C-c')
    owner.type("PS1='ready> '; clear")
    await moderator.until(/^ready>/m)
    moderator.press('C-c')
    await owner.until(/the session is paused until there is 1/)
    owner.type('echo lost-$((1 + 1))')
    const again = inTerminal('mod', 'join', sid, '-m', 'moderator')
    await owner.until(/the session goes on/)
    owner.type('echo kept-$((1 + 1))')
    for (const one of [owner, again]) await one.until(/kept-2/)
    expect(owner.screen().join('\n')).not.toContain('lost-2')
    again.press('t')
    await eventually(() => eventsOf(sid, 'session.end').length === 1, 'the session ended')
    expect(eventsOf(sid, 'session.start')).toHaveLength(1)
  })

  test('gets no files and no ports: nobody would see what passes there', async () => {
    const overseen = await keyOf('sue', 'access', 'overseen')
    const words = [...field.throughSubsystem(overseen), '-p', String(target.port)]
    const agent = await startAgent(temporaryDirectory())
    await addToAgent(agent, overseen)
    const place = `${login}@127.0.0.1`
    const {result: copied, events} = await field.during(() =>
      run('ssh', [...words, place, '-s', 'sftp'], {env: agent.env}),
    )
    expect(copied.stderr).toContain('your sessions need somebody who looks on')
    expect(copied.code).toBe(255)
    expect(events.filter(({event}) => event === 'session.start')).toEqual([])
    const port = await run('ssh', [...words, '-W', '127.0.0.1:22', place], {env: agent.env})
    expect(port.code).toBe(255)
    expect(port.stderr).toContain('does not permit port forwarding')
  })
})

/** A certificate of this user with these roles. */
function keyOf(user: string, ...roles: string[]): Promise<UserKey> {
  const extensions = ['permit-pty', 'permit-port-forwarding', 'permit-agent-forwarding'].map(
    name => [name, ''] as const,
  )
  return field.userKey({
    ...{user, principals: [user, login]},
    extensions: [...extensions, ['teleport-roles', JSON.stringify({version: 'v1', roles})]],
  })
}

describe('a stock client', () => {
  test('joins by a subsystem of the proxy', async () => {
    const {tmux, sid} = await ownSession()
    const stock = startTmux()
    const words = field.throughSubsystem(await keyOf('ann', 'auditor')).slice(0, -2)
    const port = String(field.cluster.addresses.ssh.port)
    stock.type(
      `clear; ${command(['ssh', ...words, '-tt', '-p', port, 'ann@127.0.0.1', '-s', `join:${sid}`])}`,
    )
    await tmux.until(/ann has joined as observer/)
    await stock.until(/^ready>/m)
    tmux.type('echo seen-$((1 + 1))')
    await stock.until(/seen-2/)
    stock.press('C-c')
    await tmux.until(/ann, who joined as observer, has left/)
    tmux.type('exit')
  })
})

describe('a command without a terminal', () => {
  /** Prints so much as soon as it is told to. */
  const flood = (bytes: number) => {
    const remote = `read go; head -c ${bytes} /dev/zero | tr '\\0' x; echo; echo end`
    return start('ssh', [...sshWords().slice(1), remote], {env: field.agent.env})
  }
  const begun = () =>
    eventually(
      async () => (await running()).find(({command: given}) => given?.startsWith('read go')),
      'the command is listed',
    )
  const timeOf = async (owner: PipedProcess): Promise<number> => {
    const began = performance.now()
    let count = 0
    owner.stdout.on('data', (data: Buffer) => {
      count += data.length
    })
    const over = once(owner, 'close')
    owner.stdin.end('\n')
    await over
    expect(count).toBe(megabytes * 1_000_000 + 5)
    return performance.now() - began
  }
  const megabytes = 100

  test('is not slowed by a watcher that has stopped, and takes no memory for it', async () => {
    await addKey()
    const alone = flood(megabytes * 1_000_000)
    await begun()
    const before = await timeOf(alone)
    const memory = residentMemory(field.cluster.pid)
    const owner = flood(megabytes * 1_000_000)
    const session = await begun()
    const watcher = startSallyport(as('ann', 'sessions', 'watch', session?.sid ?? ''))
    let shown = ''
    watcher.stdout.on('data', (data: Buffer) => {
      shown = (shown + data.toString('latin1')).slice(-1000)
    })
    let said = ''
    watcher.stderr.on('data', (data: Buffer) => {
      said += data.toString()
    })
    const ended = once(watcher, 'close')
    await eventually(() => said.includes('ann has joined'), 'the watcher joined')
    watcher.kill('SIGSTOP')
    let most = 0
    const timer = setInterval(() => {
      most = Math.max(most, residentMemory(field.cluster.pid))
    }, 50)
    const watched = await timeOf(owner)
    clearInterval(timer)
    // Who waited for it would wait for ever.
    expect(watched).toBeLessThan(before * 4 + 10_000)
    expect(most - memory).toBeLessThan(64)
    watcher.kill('SIGCONT')
    await ended
    expect(said).toContain('the session has ended')
  })
})
