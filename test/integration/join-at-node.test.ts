import {readFileSync} from 'node:fs'
import {join} from 'node:path'
import {beforeAll, describe, expect, test} from 'vitest'
import {sallyport, startSallyport} from '../support/cluster.js'
import {eventually} from '../support/eventually.js'
import {login} from '../support/field.js'
import type {Machine} from '../support/machines.js'
import {run} from '../support/process.js'
import {sallyportPath} from '../support/service.js'
import {quoted, type Spread, startSpread} from '../support/spread.js'
import {startTmux, type Tmux} from '../support/tmux.js'

/**
 * Sessions that nodes hold, each on a machine of its own, joined by clients that know their proxy and nothing else. The
 * cluster records at its nodes: the proxy passes on what it cannot read.
 */

let spread: Spread
let proxy: Machine

beforeAll(async () => {
  spread = await startSpread('node')
  proxy = await spread.proxy('proxy-1')
  await spread.node('far1')
  await spread.node('inner', proxy)
})

/** joe's shell on a host, in a terminal. */
async function ownSession(host: string): Promise<{tmux: Tmux; sid: string}> {
  const tmux = spread.inTerminal(spread.as('joe', proxy, 'ssh', `${login}@${host}`))
  const {sid} = await spread.session({user: 'joe', holder: host, state: 'running'})
  tmux.type("PS1='ready> '; clear")
  await tmux.until(/^ready>/m)
  return {tmux, sid}
}

const ended = (sid: string) =>
  eventually(async () => (await spread.events(sid, 'session.end'))[0], 'the session ended')

describe.each([
  ['that the proxy dials', 'far1'],
  ['behind a tunnel', 'inner'],
])('a session at a node %s', (_, host) => {
  test('is listed with who holds it', async () => {
    const {tmux, sid} = await ownSession(host)
    const {stdout} = await sallyport(spread.as('ann', proxy, 'sessions', 'ls', '--format=json'))
    expect(JSON.parse(stdout)).toMatchObject([{sid, state: 'running', user: 'joe', host, holder: host}])
    tmux.type('exit')
    await ended(sid)
    expect(await spread.running()).toEqual([])
  })

  test('shows a latecomer the screen, and then what comes', async () => {
    const {tmux, sid} = await ownSession(host)
    tmux.type(String.raw`printf '\033[2J\033[5;10H\033[1;31mключ 漢字\033[0m\033[12;1H'`)
    await tmux.until(/ключ 漢字/)
    const watcher = spread.inTerminal(spread.as('ann', proxy, 'sessions', 'watch', sid))
    await watcher.until(/ключ 漢字/)
    expect(watcher.screen()[4]).toBe('         ключ 漢字')
    tmux.type('echo after-$((40 + 2))')
    await watcher.until(/after-42/)
    watcher.press('C-c')
    await watcher.until(/status 0/)
    await tmux.until(/ann, who joined as observer, has left/)
    tmux.type('exit')
    expect(await ended(sid)).toMatchObject({participants: ['joe', 'ann']})
    expect(await spread.events(sid, 'session.join', 'session.leave')).toMatchObject([
      {
        event: 'session.join',
        code: 'T2001I',
        user: 'ann',
        mode: 'observer',
        owner: 'joe',
        server_hostname: host,
      },
      {event: 'session.leave', code: 'T2003I', user: 'ann', typed: 0},
    ])
  })
})

describe('at a node, as at a recording proxy', () => {
  const joinAs = (user: string, sid: string, mode: string, size?: {columns: number; rows: number}) =>
    spread.inTerminal(spread.as(user, proxy, 'join', sid, '-m', mode), size)

  test('a peer types, a pipe is shown it, and both are told of the end', async () => {
    const {tmux, sid} = await ownSession('inner')
    const peer = joinAs('pia', sid, 'peer')
    await tmux.until(/pia has joined as peer/)
    await peer.until(/^ready>/m)
    const pipe = startSallyport(spread.as('ann', proxy, 'sessions', 'watch', sid))
    let piped = ''
    pipe.stdout.on('data', (data: Buffer) => {
      piped += data.toString('utf8')
    })
    await tmux.until(/ann has joined/)
    const [shown] = await spread.running()
    expect(shown?.participants.map(({user, mode}) => [user, mode])).toEqual([
      ['pia', 'peer'],
      ['ann', 'observer'],
    ])
    peer.type('echo from-$((20 + 1))-pia')
    for (const one of [tmux, peer]) await one.until(/from-21-pia/)
    await eventually(() => piped.includes('from-21-pia'), 'the pipe got it')
    tmux.type('exit')
    await peer.until(/the session has ended/)
    await peer.until(/status 0/)
    await eventually(() => pipe.exitCode === 0, 'the watcher ended with the session')
    expect(await ended(sid)).toMatchObject({participants: ['joe', 'pia', 'ann']})
    const [left] = (await spread.events(sid, 'session.leave')).filter(({user}) => user === 'pia')
    expect(left?.typed).toBeGreaterThan(10)
  })

  test('the session keeps its size, and those who look on are told', async () => {
    const {tmux, sid} = await ownSession('inner')
    const said = join(spread.directory, 'said')
    const small = startTmux({}, {columns: 60, rows: 20})
    small.type(`clear; ${quoted([sallyportPath, ...spread.as('ann', proxy, 'join', sid)])} 2>${said}`)
    await small.until(/^ready>/m)
    expect(readFileSync(said, 'utf8')).toContain("the session's terminal is 80x24, yours is smaller: 60x20")
    tmux.resize(100, 30)
    tmux.type('stty size')
    for (const one of [tmux, small]) await one.until(/^30 100$/m)
    const late = joinAs('ann', sid, 'observer', {columns: 100, rows: 30})
    await late.until(/^30 100$/m)
    tmux.type('exit')
    await ended(sid)
  })

  test('a moderator ends it from within, and whoever may from without', async () => {
    const one = await ownSession('inner')
    const moderator = joinAs('mod', one.sid, 'moderator')
    await one.tmux.until(/mod has joined as moderator/)
    moderator.press('t')
    expect(await ended(one.sid)).toMatchObject({ended_by: 'mod'})
    await moderator.until(/mod has ended this session/)
    await one.tmux.until(/mod has ended this session/)
    const other = await ownSession('far1')
    const over = await sallyport(
      spread.as('mod', proxy, 'sessions', 'end', other.sid, '--reason=the host goes down'),
    )
    expect(over).toMatchObject({code: 0, stderr: ''})
    await other.tmux.until(/mod has ended this session: the host goes down/)
    expect(await ended(other.sid)).toMatchObject({ended_by: 'mod', reason: 'the host goes down'})
    const own = await ownSession('inner')
    expect(await sallyport(spread.as('ann', proxy, 'sessions', 'end', own.sid))).toMatchObject({code: 15})
    expect(await sallyport(spread.as('joe', proxy, 'sessions', 'end', own.sid))).toMatchObject({code: 0})
    expect(await ended(own.sid)).toMatchObject({ended_by: 'joe'})
  })

  test('whoever is locked is put out, and the session goes on', async () => {
    const {tmux, sid} = await ownSession('far1')
    const watcher = joinAs('ann', sid, 'observer')
    await tmux.until(/ann has joined as observer/)
    const lock = JSON.parse(await spread.admin('lock', '--user=ann', '--format=json')) as {id: string}
    await watcher.until(/status [1-9]/)
    expect(watcher.screen().join(' ')).toContain('the user ann is locked')
    await tmux.until(/ann, who joined as observer, has left/)
    await spread.admin('unlock', lock.id)
    tmux.type('echo still-$((1 + 1))')
    await tmux.until(/still-2/)
    tmux.type('exit')
    await ended(sid)
  })

  test('a session of a stock client through -J is joined like any other', async () => {
    const {host, port} = await spread.addressOf('far1')
    const options = spread.stock(await spread.key('joe'), proxy)
    const stock = startTmux()
    stock.type(`clear; exec ${quoted(['ssh', ...options, '-J', 'jump', '-p', port, `${login}@${host}`])}`)
    const {sid} = await spread.session({user: 'joe', state: 'running'})
    const watcher = joinAs('ann', sid, 'observer')
    await stock.until(/ann has joined as observer/)
    stock.type('echo seen-$((1 + 1))')
    await watcher.until(/seen-2/)
    stock.type('exit')
    await watcher.until(/the session has ended/)
    await ended(sid)
  })
})

describe('whose roles want somebody to look on', () => {
  const sue = (...words: string[]): string[] => spread.as('sue', proxy, 'ssh', ...words)

  test.each(['far1', 'inner'])(
    'waits at the node %s for a moderator, pauses without, and goes on',
    async host => {
      const owner = spread.inTerminal(sue(`${login}@${host}`))
      await owner.until(/begins when there is\s+1 moderator with the role moderates \(four eyes\)/)
      const {sid} = await spread.session({user: 'sue', holder: host, state: 'pending'})
      const moderate = (mode: string) => spread.inTerminal(spread.as('mod', proxy, 'join', sid, '-m', mode))
      const observer = moderate('observer')
      await owner.until(/mod has joined as observer/)
      await spread.session({sid, state: 'pending'})
      const moderator = moderate('moderator')
      await spread.session({sid, state: 'running'})
      observer.press('C-c')
      owner.type("PS1='ready> '; clear")
      await moderator.until(/^ready>/m)
      moderator.press('C-c')
      await owner.until(/the session is paused until there is 1/)
      owner.type('echo lost-$((1 + 1))')
      const again = moderate('moderator')
      await owner.until(/the session goes on/)
      owner.type('echo kept-$((1 + 1))')
      for (const one of [owner, again]) await one.until(/kept-2/)
      expect(owner.screen().join('\n')).not.toContain('lost-2')
      again.press('t')
      expect(await ended(sid)).toMatchObject({ended_by: 'mod', participants: ['sue', 'mod']})
      expect(await spread.events(sid, 'session.start')).toHaveLength(1)
    },
  )

  test('gets no files and no ports there: nobody would see what passes', async () => {
    const {host, port} = await spread.addressOf('far1')
    const words = [...spread.stock(await spread.key('sue'), proxy), '-J', 'jump', '-p', port]
    const files = await run('ssh', [...words, `${login}@${host}`, '-s', 'sftp'])
    expect(files).toMatchObject({code: 255})
    expect(files.stderr).toContain('your sessions need somebody who looks on')
    const forwarded = await run('ssh', [...words, '-W', '127.0.0.1:22', `${login}@${host}`])
    expect(forwarded).toMatchObject({code: 255})
    expect(forwarded.stderr).toContain('does not permit port forwarding')
  })
})
