import {describe, expect, it, vi} from 'vitest'
import {problem} from '../../../src/lib/errors/index.js'
import type {Channel, ChannelRequest} from '../../../src/lib/ssh/index.js'
import {WireReader, WireWriter} from '../../../src/lib/sshcert/index.js'
import {drain, settle} from '../ssh/fixture.js'
import {fakeProcess, pty, running, text, world} from './fixture.js'

const closed = (channel: Channel): Promise<void> =>
  new Promise(resolve => {
    if (channel.isClosed) resolve()
    else channel.onClosed = resolve
  })

/** Everything that is asked of a client on a channel. */
function requests(channel: Channel): ChannelRequest[] {
  const seen: ChannelRequest[] = []
  channel.onRequest = request => {
    seen.push(request)
    request.reply(false)
  }
  return seen
}

/** What a session says on stderr until it is over, and its exit status. */
async function farewell(channel: Channel): Promise<{stderr: string; status: number | undefined}> {
  const seen = requests(channel)
  channel.resume()
  const said = drain(channel.stderr)
  await closed(channel)
  const exit = seen.find(({type}) => type === 'exit-status')
  return {stderr: (await said).toString(), status: exit && new WireReader(exit.data).u32()}
}

describe('a session at the node', () => {
  it('delivers all output before the status, and then closes', async () => {
    const all = await world()
    const {channel, started} = await running(all)
    const order: string[] = []
    channel.onRequest = ({type}) => void order.push(type)
    channel.on('end', () => order.push('end'))
    channel.on('data', chunk => order.push(String(chunk)))
    started.stdout.write('last words')
    started.exit({code: 7})
    await closed(channel)
    expect(order).toEqual(['last words', 'end', 'exit-status'])
    expect(all.auth.named('session.end')).toMatchObject([{fields: {exit_code: 7, session_recording: 'node'}}])
  })

  it('says which signal ended the program, and whether there is a core', async () => {
    const all = await world()
    const {channel, started} = await running(all)
    const seen = requests(channel)
    channel.resume()
    started.exit({signal: 'SEGV', coreDumped: true})
    await closed(channel)
    const exit = new WireReader(seen.find(({type}) => type === 'exit-signal')?.data ?? Buffer.alloc(0))
    expect([exit.text(), exit.bool()]).toEqual(['SEGV', true])
    expect(all.auth.named('session.end')).toMatchObject([{fields: {exit_signal: 'SEGV'}}])
  })

  it('passes input, the end of it, sizes and signals on', async () => {
    const all = await world()
    const {channel, started} = await running(all, 'vi', true)
    expect(started.spec.terminal).toMatchObject({term: 'xterm', columns: 80, rows: 24})
    channel.write('typed')
    channel.end()
    expect((await drain(started.stdin)).toString()).toBe('typed')
    const size = new WireWriter().u32(100).u32(30).u32(0).u32(0).finish()
    expect(await channel.request('window-change', size)).toBe(true)
    expect(await channel.request('signal', text('INT'))).toBe(true)
    expect(await channel.request('signal', text('NONE'))).toBe(false)
    expect(await channel.request('break', new WireWriter().u32(500).finish())).toBe(true)
    expect(started.calls).toEqual(['resize 100x30', 'signal INT', 'signal NONE'])
    expect(all.auth.named('resize')).toMatchObject([{fields: {size: '100:30'}}])
  })

  it('has no break, no size and no second terminal where there is none', async () => {
    const all = await world()
    const {channel} = await running(all)
    expect(await channel.request('break', new WireWriter().u32(500).finish())).toBe(false)
    expect(
      await channel.request('window-change', new WireWriter().u32(1).u32(1).u32(0).u32(0).finish()),
    ).toBe(false)
    expect(await channel.request('pty-req', pty())).toBe(false)
    expect(await channel.request('exec', text('again'))).toBe(false)
    expect(await channel.request('unheard-of@example.com')).toBe(false)
    expect(await channel.request('keepalive@openssh.com')).toBe(true)
  })

  it('tells its terminal’s size to those that ask for it, at once and whenever it changes', async () => {
    const all = await world()
    const {channel} = await running(all, 'vi', true)
    const events = await all.client.openChannel('x-teleport-request-resize-events')
    const said: string[] = []
    events.on('data', chunk => said.push(String(chunk)))
    await vi.waitFor(() => expect(said).toEqual(['80:24']))
    await channel.request('window-change', new WireWriter().u32(100).u32(25).u32(0).u32(0).finish())
    await vi.waitFor(() => expect(said).toEqual(['80:24', '100:25']))
  })

  it('hangs up on the program when its client leaves', async () => {
    const all = await world()
    const {started} = await running(all)
    all.client.disconnect()
    await all.node.done
    expect(started.calls).toEqual(['hangUp'])
    expect(all.auth.named('exec')).toMatchObject([{success: false}])
    expect(all.auth.named('session.end')).toHaveLength(1)
    expect(all.auth.sealed).toHaveLength(1)
  })

  it('lets a program that starts only after its client has left hang up at once', async () => {
    let start: (value?: unknown) => void = () => undefined
    const gate = new Promise(resolve => {
      start = resolve
    })
    const asked = vi.fn()
    const started: ReturnType<typeof fakeProcess>[] = []
    const all = await world({
      system: {
        async start(spec) {
          asked()
          await gate
          started.push(fakeProcess(spec))
          return started[0] as never
        },
      },
    })
    const channel = await all.client.openChannel('session')
    void channel.request('exec', text('slow'))
    await vi.waitFor(() => expect(asked).toHaveBeenCalled())
    all.client.disconnect()
    await settle()
    start()
    await all.node.done
    await vi.waitFor(() => expect(started[0]?.calls).toEqual(['hangUp']))
  })

  it('stops the program’s output when the client reads no more', async () => {
    const all = await world()
    const {channel, started} = await running(all)
    expect(await channel.request('eow@openssh.com')).toBe(true)
    expect(started.stdout.destroyed).toBe(true)
  })

  it('tells the client when the program reads no more', async () => {
    const all = await world()
    const {channel, started} = await running(all)
    const seen = requests(channel)
    started.stdin.destroy()
    await vi.waitFor(() => expect(seen.map(({type}) => type)).toContain('eow@openssh.com'))
  })
})

describe('a session that cannot begin', () => {
  it('says why on stderr, with a status, where there is no such login', async () => {
    const account = () => Promise.reject(problem('not_found', 'there is no login "root" on this host'))
    const all = await world({system: {account}})
    const channel = await all.client.openChannel('session')
    const over = farewell(channel)
    expect(await channel.request('shell')).toBe(true)
    expect(await over).toEqual({
      stderr: 'sallyport: there is no login "root" on this host [not_found]\r\n',
      status: 255,
    })
    expect(all.auth.named('session.end')).toHaveLength(1)
  })

  it('starts nothing where a strict recording cannot begin', async () => {
    const all = await world({options: {recordSession: 'strict'}})
    all.auth.storeBroken = true
    const channel = await all.client.openChannel('session')
    const over = farewell(channel)
    await channel.request('exec', text('rm -rf /'))
    expect((await over).stderr).toMatch(/the disk is full/)
    expect(all.processes).toEqual([])
    expect(all.auth.named('session.rejected')).toHaveLength(1)
  })

  it('moves no files where somebody has to look on', async () => {
    const oversight = [
      [{name: 'four eyes', filter: ['auditor'], kinds: ['ssh'], modes: ['moderator'], count: 1}],
    ]
    const all = await world({options: {oversight: oversight as never}})
    const channel = await all.client.openChannel('session')
    const over = farewell(channel)
    await channel.request('subsystem', text('sftp'))
    expect((await over).stderr).toContain('a transfer of files shows nothing')
    expect(all.processes).toEqual([])
  })

  it('goes on unrecorded where the best effort is enough, and that is on record', async () => {
    const all = await world()
    all.auth.storeBroken = true
    await running(all)
    expect(all.auth.named('session.start')).toMatchObject([{fields: {recorded: false}}])
  })

  it('has no terminal, agent or display that the certificate does not permit', async () => {
    const openAgent = vi.fn()
    const all = await world({certificate: {extensions: new Map()}, system: {openAgent}})
    const channel = await all.client.openChannel('session')
    expect(await channel.request('pty-req', pty())).toBe(false)
    expect(await channel.request('x11-req', new WireWriter().bool(false).finish())).toBe(false)
    expect(await channel.request('auth-agent-req@openssh.com')).toBe(true)
    expect(await channel.request('exec', text('true'))).toBe(true)
    expect(openAgent).not.toHaveBeenCalled()
    expect(all.auth.named('x11')).toMatchObject([{success: false}])
  })

  it('goes on without an agent where there is no room for its socket', async () => {
    const openAgent = vi.fn().mockRejectedValue(new Error('ENOSPC'))
    const all = await world({system: {openAgent}})
    const channel = await all.client.openChannel('session')
    expect(await channel.request('auth-agent-req@openssh.com')).toBe(true)
    expect(await channel.request('exec', text('true'))).toBe(true)
    expect(openAgent).toHaveBeenCalledOnce()
    expect(all.processes).toHaveLength(1)
  })

  it.each([
    ['shell', undefined, 'forced'],
    ['exec', 'id', 'forced'],
    ['subsystem', 'sftp', 'forced'],
  ])('runs the forced command for %s %s', async (type, asked, command) => {
    const criticalOptions = new Map([['force-command', command]])
    const all = await world({certificate: {criticalOptions}})
    const channel = await all.client.openChannel('session')
    await channel.request(type, asked === undefined ? undefined : text(asked))
    expect(all.processes.map(({spec}) => spec.program)).toEqual([{kind: 'command', command}])
    expect(all.auth.named('session.start')).toMatchObject([{fields: {initial_command: command}}])
  })
})

describe('a session that is ended', () => {
  it('delivers nothing more, tells the user why, and leaves nothing running', async () => {
    const all = await world()
    const {channel, started} = await running(all)
    const over = farewell(channel)
    const heard = vi.fn()
    channel.on('data', heard)
    all.node.end(problem('unavailable', 'the node is shutting down'))
    expect(await over).toEqual({
      stderr: 'sallyport: the node is shutting down [unavailable]\r\n',
      status: 255,
    })
    expect(heard).not.toHaveBeenCalled()
    expect(started.calls).toEqual(['kill'])
    await all.node.done
    expect(all.auth.named('session.end')).toHaveLength(1)
  })

  it('ends when its strict recording fails, with nothing unrecorded delivered', async () => {
    const all = await world({options: {recordSession: 'strict'}})
    const {channel, started} = await running(all)
    const over = farewell(channel)
    all.auth.storeBroken = true
    started.stdout.write('a'.repeat(200_000))
    expect((await over).stderr).toMatch(/the disk is full/)
    expect(started.calls).toEqual(['kill'])
  })
})
