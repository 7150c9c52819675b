import {writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {beforeAll, describe, expect, test} from 'vitest'
import {stringify} from 'yaml'
import {sallyport, startSallyport} from '../support/cluster.js'
import {type Event, eventually, type Field, login, startField, type UserKey} from '../support/field.js'
import {sallyportPath} from '../support/service.js'
import type {Sshd} from '../support/sshd.js'
import {startTmux, type Tmux} from '../support/tmux.js'

// The owner of every session here is joe, with stock ssh; those who join use our client unless a test says otherwise.

let field: Field
let key: UserKey
let target: Sshd
let proxy: string

interface Running {
  sid: string
  state: string
  user: string
  host: string
  participants: {user: string; mode: string}[]
}

beforeAll(async () => {
  field = await startField()
  key = await field.userKey()
  target = await field.target()
  const {ssh, web} = field.cluster.addresses
  proxy = `127.0.0.1:${web.port},${ssh.port}`
  const roles = [
    role('moderates', {allow: {join_sessions: joining('observer', 'moderator')}}),
    role('types', {allow: {join_sessions: joining('observer', 'peer')}}),
    role('overseen', {
      allow: {
        require_session_join: [
          {name: 'four eyes', filter: ['moderates'], modes: ['moderator'], count: 1, on_leave: 'pause'},
        ],
      },
    }),
  ]
  const path = join(field.directory, 'roles.yaml')
  writeFileSync(path, roles.map(one => stringify(one)).join('---\n'))
  await admin('create', '-f', path)
  for (const [name, names] of Object.entries({
    ...{ann: 'auditor', mod: 'moderates', pia: 'types', bob: 'editor', sue: 'access,overseen'},
  })) {
    await admin('users', 'add', name, `${name},${login}`, `--roles=${names}`)
    await admin('auth', 'sign', `--user=${name}`, `--out=${identityOf(name)}`)
  }
}, 60_000)

const role = (name: string, spec: object) => ({kind: 'role', version: 'v1', metadata: {name}, spec})
const joining = (...modes: string[]) => [{name: 'sessions', roles: ['access'], modes}]
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
  const {addToAgent} = await import('../support/field.js')
  await addToAgent(field.agent, key)
}

/** A command of ours in a terminal of its own. */
function inTerminal(user: string, ...args: string[]): Tmux {
  const tmux = startTmux()
  tmux.type(`clear; ${command([sallyportPath, ...as(user, ...args)])}; echo "status $?"`)
  return tmux
}

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
    // The owner's screen has a line from us in it, which is told beside the output.
    const withoutNotices = (lines: string[]) =>
      lines.filter(line => line !== '' && !line.includes('sallyport:'))
    expect(withoutNotices(watcher.screen())).toEqual(
      expect.arrayContaining(withoutNotices(tmux.screen()).slice(-2)),
    )
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
    await eventually(() => eventsOf(other.sid, 'session.end').length === 1, 'the second ended')
    expect(eventsOf(other.sid, 'session.end')[0]).toMatchObject({
      ended_by: 'mod',
      reason: 'the host goes down',
    })
    expect(eventsOf(other.sid, 'client.disconnect')[0]).toMatchObject({by: 'mod'})
  })
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
      expect([34, 35]).toContain(refused.code)
      expect(refused.stderr).toMatch(/^sallyport: /)
    }
    const refused = await sallyport(as('ann', 'sessions', 'end', '11111111-2222-4333-8444-555555555555'))
    expect(refused.code).toBe(34)
  })
})
