import {mkdirSync} from 'node:fs'
import {createServer} from 'node:net'
import {join} from 'node:path'
import {beforeAll, describe, expect, test} from 'vitest'
import {sallyport} from '../support/cluster.js'
import {eventually} from '../support/eventually.js'
import {login, mintAuthorities, text} from '../support/field.js'
import type {Machine} from '../support/machines.js'
import {run} from '../support/process.js'
import {type Spread, startSpread} from '../support/spread.js'
import type {Tmux} from '../support/tmux.js'

/** Joining a session that a node holds, by those who may not, and in ways that are not meant. */

const joinLogin = 'sallyport:join'
let spread: Spread
let proxy: Machine
let near: Machine
let inner: Machine
let owner: Tmux
let sid: string

beforeAll(async () => {
  spread = await startSpread('node')
  proxy = await spread.proxy('proxy-1')
  near = await spread.node('far1')
  inner = await spread.node('inner', proxy)
  owner = spread.inTerminal(spread.as('joe', proxy, 'ssh', `${login}@far1`))
  sid = (await spread.session({user: 'joe', state: 'running'})).sid
})

const asked = async (subsystem: string, key: string) => {
  const port = String(proxy.addresses.ssh?.port)
  const words = [...spread.stock(key, proxy), '-p', port, 'x@127.0.0.1', '-s', subsystem]
  return text(await run('ssh', words))
}

/** Straight to the node, past every proxy. */
async function atNode(key: string, words: string[], user = joinLogin) {
  const {host = '', port} = near.addresses.node ?? {}
  return text(await run('ssh', [...spread.stock(key, proxy), '-p', String(port), '-l', user, host, ...words]))
}

const refusals = async (user: string) =>
  (await spread.events(sid, 'session.join')).filter(event => event.user === user && !event.success)

describe('nobody joins', () => {
  test.each([
    ['whose roles do not say so', 'bob', 'observer', /no session "[^"]+" runs now/, 34],
    ['in a mode that roles do not name', 'ann', 'peer', /do not let you join this session as peer/, 15],
    ['as moderator who may type', 'pia', 'moderator', /do not let you join this session as moderator/, 15],
  ])('%s: at the proxy, on the way, and at the holder alike', async (_, user, mode, message, status) => {
    const before = (await refusals(user)).length
    const ours = await sallyport(spread.as(user, proxy, 'join', sid, '-m', mode))
    expect(ours.code).toBe(status)
    expect(ours.stderr).toMatch(message)
    const key = await spread.key(user)
    for (const answer of [
      await asked(`holder:${sid}:${mode}`, key),
      await atNode(key, ['-s', `join:${sid}:${mode}`]),
    ]) {
      expect(answer).toMatchObject({code: 255, stdout: ''})
      expect(answer.stderr).toMatch(message)
    }
    expect((await refusals(user)).length).toBe(before + 3)
    expect(owner.screen().join('\n')).not.toContain(user)
  })

  test('whose certificate has expired, is of another cluster, or is of nobody any more', async () => {
    const place = join(spread.directory, 'other')
    mkdirSync(place, {mode: 0o700})
    const keys = [
      await spread.key('ann', {until: Date.now() - 1000}),
      await spread.key('ann', {authorities: await mintAuthorities(place)}),
      await spread.key('gone'),
    ]
    const reasons = [/expired/, /not signed by|authority|unknown/, /no longer a user gone/]
    for (const [n, key] of keys.entries()) {
      const answer = await atNode(key, ['-s', `join:${sid}`])
      expect(answer).toMatchObject({code: 255, stdout: ''})
      expect(answer.stderr).toMatch(reasons[n] as RegExp)
      expect(await asked(`holder:${sid}`, key)).toMatchObject({code: 255, stdout: ''})
    }
  })

  test('who is locked, neither with a connection nor with the way to one', async () => {
    const key = await spread.key('pia')
    const lock = JSON.parse(await spread.admin('lock', '--user=pia', '--format=json')) as {id: string}
    try {
      await eventually(
        async () => (await atNode(key, ['-s', `join:${sid}`])).stderr.includes('the user pia is locked'),
        'the node knows of the lock',
      )
      const ours = await sallyport(spread.as('pia', proxy, 'join', sid))
      expect(ours.code).not.toBe(0)
      expect(ours.stderr).toContain('the user pia is locked')
    } finally {
      await spread.admin('unlock', lock.id)
    }
  })

  test('a session that does not run, is none, or runs at another node', async () => {
    const other = spread.inTerminal(spread.as('joe', proxy, 'ssh', `${login}@inner`))
    const {sid: elsewhere} = await spread.session({holder: 'inner', state: 'running'})
    const key = await spread.key('ann')
    for (const wrong of ['11111111-2222-4333-8444-555555555555', '../etc/passwd', elsewhere]) {
      const answer = await atNode(key, ['-s', `join:${wrong}`])
      expect(answer).toMatchObject({code: 255, stdout: ''})
      expect(answer.stderr).toMatch(/no session "[^"]+" runs now/)
    }
    const ours = await sallyport(
      spread.as('ann', proxy, 'sessions', 'watch', '11111111-2222-4333-8444-555555555555'),
    )
    expect(ours).toMatchObject({code: 34})
    other.type('exit')
  })
})

describe('the way to a holder', () => {
  test('leads nowhere that a client has chosen', async () => {
    const met: string[] = []
    const trap = createServer(socket => {
      met.push(String(socket.remotePort))
      socket.destroy()
    })
    await new Promise<void>(resolve => void trap.listen(0, '127.0.0.1', resolve))
    const {port} = trap.address() as {port: number}
    const key = await spread.key('ann')
    const {host, port: sshPort} = await spread.addressOf('far1')
    for (const forged of [
      `127.0.0.1:${port}`,
      `${sid}:observer@127.0.0.1:${port}`,
      `${sid}:observer:127.0.0.1:${port}`,
      `${sid}@127.0.0.1:${port}`,
      `${host}:${sshPort}`,
      '',
      ':',
    ]) {
      const answer = await asked(`holder:${forged}`, key)
      expect([forged, answer.code, answer.stdout]).toEqual([forged, 255, ''])
      expect(answer.stderr).toMatch(/\[(invalid_input|not_found)\]/)
    }
    expect(met).toEqual([])
    await new Promise(resolve => trap.close(resolve))
  })

  test('leads to no machine whose sessions somebody may not join', async () => {
    const answer = await asked(`holder:${sid}`, await spread.key('bob'))
    expect(answer).toMatchObject({code: 255, stdout: ''})
    expect(answer.stderr).toMatch(/no session "[^"]+" runs now/)
  })

  test('is on record with who went where', async () => {
    const answer = await asked(`holder:${sid}`, await spread.key('ann'))
    expect(answer.stdout).toMatch(/^SSH-2\.0-/)
    const trail = JSON.parse(await spread.admin('audit', 'ls', '--event=session.connect', '--format=json'))
    expect(trail[0]).toMatchObject({
      success: true,
      user: 'ann',
      joins: sid,
      owner: 'joe',
      server_hostname: 'far1',
    })
  })
})

describe('a connection for joining', () => {
  test('gives no shell, no command, no files, no ports and no login', async () => {
    const key = await spread.key('ann')
    for (const words of [['-T'], ['id'], ['-s', 'sftp'], ['-s', `holder:${sid}`]]) {
      const answer = await atNode(key, words)
      expect([words, answer.code, answer.stdout]).toEqual([words, 255, ''])
      expect(answer.stderr).toContain('this connection is for joining sessions alone')
    }
    const {host, port} = await spread.addressOf('far1')
    const common = [...spread.stock(key, proxy), '-p', port, '-l', joinLogin]
    const forwarded = await run('ssh', [...common, '-W', '127.0.0.1:22', host])
    expect(forwarded.code).toBe(255)
    expect(forwarded.stderr).toContain('this connection is for joining sessions alone')
    const back = await run('ssh', [
      ...common,
      '-N',
      '-o',
      'ExitOnForwardFailure=yes',
      '-R',
      '0:127.0.0.1:22',
      host,
    ])
    expect(back.code).toBe(255)
    const named = await atNode(key, ['-s', `join:${sid}`], login)
    expect(named.code).toBe(255)
    expect(await spread.running()).toHaveLength(1)
  })
})

describe('who holds a session and cannot be asked', () => {
  test('is named when it is gone, and so is the auth service', async () => {
    spread.inTerminal(spread.as('joe', proxy, 'ssh', `${login}@inner`))
    const {sid: lost} = await spread.session({holder: 'inner', state: 'running'})
    await inner.stop('SIGKILL')
    const refused = await eventually(async () => {
      const answer = await sallyport(spread.as('ann', proxy, 'join', lost))
      return answer.stderr.includes('inner, which holds this session, cannot be reached') && answer
    }, 'the tunnel is gone')
    expect(refused.code).not.toBe(0)
    expect(refused.stderr).toContain('a session ends with the machine that holds it')
    const watcher = spread.inTerminal(spread.as('ann', proxy, 'join', sid))
    await owner.until(/ann has joined as observer/)
    await spread.auth.stop()
    const key = await spread.key('mod')
    const answers = [
      await asked(`join:${sid}`, key),
      await asked(`holder:${sid}`, key),
      await atNode(key, ['-s', `join:${sid}`]),
    ]
    for (const {stdout, stderr} of answers) {
      expect(stdout).toBe('')
      expect(stderr).toMatch(/nobody can say who may join a session: .*; try again when .* \[unavailable\]/)
    }
    // Whoever sits there already stays.
    owner.type('echo still-$((1 + 1))')
    for (const one of [owner, watcher]) await one.until(/still-2/)
    expect(near.log()).not.toContain('"level":"fatal"')
  })
})
