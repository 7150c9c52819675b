import {beforeAll, describe, expect, test, vi} from 'vitest'
import {sallyport} from '../support/cluster.js'
import {eventually, login} from '../support/field.js'
import type {Machine} from '../support/machines.js'
import {type Spread, startSpread} from '../support/spread.js'
import type {Tmux} from '../support/tmux.js'

/**
 * Sessions that nodes hold, each on a machine of its own, joined by clients that know their proxy and nothing else. The
 * cluster records at its nodes: the proxy passes on what it cannot read.
 */
vi.setConfig({testTimeout: 90_000})

let spread: Spread
let proxy: Machine

beforeAll(async () => {
  spread = await startSpread('node')
  proxy = await spread.proxy('proxy-1')
  await spread.node('far1')
  await spread.node('inner', proxy)
}, 120_000)

/** joe's shell on a host, in a terminal. */
async function ownSession(host: string): Promise<{tmux: Tmux; sid: string}> {
  const before = new Set((await spread.running()).map(({sid}) => sid))
  const tmux = spread.inTerminal(spread.as('joe', proxy, 'ssh', `${login}@${host}`))
  await tmux.until(/[#$] *$/m)
  tmux.type("PS1='ready> '; clear")
  await tmux.until(/^ready>/m)
  const [found] = (await spread.running()).filter(({sid}) => !before.has(sid))
  if (!found) throw new Error('the session is not listed')
  return {tmux, sid: found.sid}
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
