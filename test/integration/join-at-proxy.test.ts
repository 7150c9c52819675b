import {once} from 'node:events'
import {beforeAll, expect, test} from 'vitest'
import {sallyport, startSallyport} from '../support/cluster.js'
import {eventually} from '../support/eventually.js'
import {login} from '../support/field.js'
import type {Machine} from '../support/machines.js'
import {sallyportPath} from '../support/service.js'
import {quoted, type Spread, startSpread} from '../support/spread.js'
import {startTmux, type Tmux} from '../support/tmux.js'

/** Sessions that one proxy records, joined by people who know another one, on another machine. */

let spread: Spread
let theirs: Machine
let ours: Machine
let port: string

beforeAll(async () => {
  spread = await startSpread('proxy')
  theirs = await spread.proxy('proxy-1')
  ours = await spread.proxy('proxy-2')
  await spread.node('far1')
  port = (await spread.addressOf('far1')).port
})

async function session(words: string[], user = 'joe'): Promise<{tmux: Tmux; sid: string}> {
  const tmux = startTmux()
  tmux.type(`clear; exec ${quoted(words)}`)
  const {sid} = await spread.session({user, state: 'running'})
  tmux.type("PS1='ready> '; clear")
  await tmux.until(/^ready>/m)
  return {tmux, sid}
}

const throughTheirs = (user = 'joe') => [sallyportPath, ...spread.as(user, theirs, 'ssh', `${login}@far1`)]
const ended = (sid: string) =>
  eventually(async () => (await spread.events(sid, 'session.end'))[0], 'the session ended')

test('a session at another proxy is listed, watched, typed into and ended', async () => {
  const {tmux, sid} = await session(throughTheirs())
  const {stdout} = await sallyport(spread.as('ann', ours, 'sessions', 'ls', '--format=json'))
  expect(JSON.parse(stdout)).toMatchObject([
    {sid, state: 'running', user: 'joe', host: 'far1', holder: 'proxy-1'},
  ])
  tmux.type(String.raw`printf '\033[2J\033[5;10Hключ 漢字\033[12;1H'`)
  await tmux.until(/ключ 漢字/)
  const watcher = spread.inTerminal(spread.as('ann', ours, 'sessions', 'watch', sid))
  await watcher.until(/ключ 漢字/)
  expect(watcher.screen()[4]).toBe('         ключ 漢字')
  const peer = spread.inTerminal(spread.as('pia', ours, 'join', sid, '-m', 'peer'))
  await tmux.until(/pia has joined as peer/)
  peer.type('echo from-$((20 + 1))-pia')
  for (const one of [tmux, watcher, peer]) await one.until(/from-21-pia/)
  const moderator = spread.inTerminal(spread.as('mod', ours, 'join', sid, '-m', 'moderator'))
  await tmux.until(/mod has joined as moderator/)
  moderator.press('t')
  expect(await ended(sid)).toMatchObject({ended_by: 'mod', participants: ['joe', 'ann', 'pia', 'mod']})
  for (const one of [watcher, peer, moderator]) await one.until(/status 0/)
  const again = await session(throughTheirs())
  const over = await sallyport(spread.as('mod', ours, 'sessions', 'end', again.sid, '--reason=noon'))
  expect(over).toMatchObject({code: 0})
  expect(await ended(again.sid)).toMatchObject({ended_by: 'mod', reason: 'noon'})
})

test('a session that goes past the proxies is joined at its node, through one that records', async () => {
  const straight = ['ssh', ...spread.stock(await spread.key('joe'), theirs), '-p', port, `${login}@127.0.0.1`]
  const {tmux, sid} = await session(straight)
  expect((await spread.running()).find(one => one.sid === sid)).toMatchObject({holder: 'far1'})
  const peer = spread.inTerminal(spread.as('pia', ours, 'join', sid, '-m', 'peer'))
  await tmux.until(/pia has joined as peer/)
  peer.type('echo from-$((20 + 1))-pia')
  for (const one of [tmux, peer]) await one.until(/from-21-pia/)
  tmux.type('exit')
  expect(await ended(sid)).toMatchObject({participants: ['joe', 'pia'], session_recording: 'node'})
})

test.each(['another proxy', 'a node that is reached past the proxies'])(
  'a session that waits for a moderator at %s begins when one comes by a second proxy',
  async where => {
    const key = await spread.key('sue')
    const words = where.startsWith('a node')
      ? ['ssh', ...spread.stock(key, theirs), '-p', port, `${login}@127.0.0.1`]
      : throughTheirs('sue')
    const owner = startTmux()
    owner.type(`clear; exec ${quoted(words)}`)
    await owner.until(/begins when there is\s+1 moderator with the role moderates \(four eyes\)/)
    const {sid} = await spread.session({user: 'sue', state: 'pending'})
    const moderator = spread.inTerminal(spread.as('mod', ours, 'join', sid, '-m', 'moderator'))
    await spread.session({sid, state: 'running'})
    owner.type('echo seen-$((1 + 1))')
    await moderator.until(/seen-2/)
    moderator.press('t')
    expect(await ended(sid)).toMatchObject({ended_by: 'mod', participants: ['sue', 'mod']})
  },
)

test('a watcher elsewhere that has stopped holds nothing up', async () => {
  const bytes = 30_000_000
  const remote = `read go; head -c ${bytes} /dev/zero | tr '\\0' x; echo; echo end`
  const owner = startSallyport([...spread.as('joe', theirs, 'ssh'), `${login}@far1`, remote])
  let count = 0
  owner.stdout.on('data', (data: Buffer) => {
    count += data.length
  })
  const {sid} = await spread.session({user: 'joe', state: 'running'})
  const watcher = startSallyport(spread.as('ann', ours, 'sessions', 'watch', sid))
  let said = ''
  watcher.stdout.resume()
  watcher.stderr.on('data', (data: Buffer) => {
    said += data.toString()
  })
  await eventually(() => said.includes('ann has joined'), 'the watcher joined')
  watcher.kill('SIGSTOP')
  const over = once(owner, 'close')
  owner.stdin.end('\n')
  await over
  expect(count).toBe(bytes + 5)
  await ended(sid)
  watcher.kill('SIGCONT')
  await eventually(() => watcher.exitCode !== null, 'the watcher ended with the session')
})
