import {gunzipSync} from 'node:zlib'
import {describe, expect, it, vi} from 'vitest'
import type {SessionOptions} from '../../../src/lib/access/types.js'
import {problem} from '../../../src/lib/errors/index.js'
import {forwardSession} from '../../../src/lib/forward/session.js'
import type {SessionRecordOptions} from '../../../src/lib/session/record.js'
import {watchTransfer} from '../../../src/lib/session/transfers/transfers.js'
import type {Channel, ChannelRequest} from '../../../src/lib/ssh/index.js'
import {WireReader, WireWriter} from '../../../src/lib/sshcert/index.js'
import {drain, openChannel, pair, settle} from '../ssh/fixture.js'
import {everything, type FakeAuth, fakeAuth, record} from './fixture.js'

interface Stage {
  /** The user's end of the session. */
  client: Channel
  /** The target's end; there once the forwarder has opened it. */
  target: Promise<Channel>
  auth: FakeAuth
  session: ReturnType<typeof forwardSession>
  onDone: ReturnType<typeof vi.fn>
  statuses: {type: string; code: number}[]
  disconnect(): void
}

interface StageOptions {
  auth?: FakeAuth
  options?: Partial<SessionOptions>
  mode?: SessionRecordOptions['mode']
  /** Runs before the target's channel is opened. */
  beforeRemote?: () => Promise<void>
}

/** A client, the forwarder and a target, joined by real SSH connections in memory. */
async function stage({
  auth = fakeAuth(),
  options,
  mode = 'best_effort',
  beforeRemote,
}: StageOptions = {}): Promise<Stage> {
  const [front, back] = [await pair(), await pair()]
  const [client, local] = await openChannel(front)
  let arrived: (channel: Channel) => void = () => undefined
  const target = new Promise<Channel>(resolve => {
    arrived = resolve
  })
  back.server.onChannelOpen = open => {
    const channel = open.accept()
    channel.onRequest = ({reply}) => reply(true)
    arrived(channel)
  }
  const statuses: Stage['statuses'] = []
  client.onRequest = ({type, data}: ChannelRequest) => {
    if (type === 'exit-status') statuses.push({type, code: new WireReader(data).u32()})
  }
  const onDone = vi.fn()
  const made = record(auth, {mode, onFailure: error => session.recordingLost(error)})
  const session = forwardSession({
    ...{local, onDone, record: made.record},
    options: {...everything, recordSession: mode, ...options},
    recordSession: mode,
    overseen: false,
    async openRemote() {
      await beforeRemote?.()
      return back.client.openChannel('session')
    },
    onAgentRequested: () => undefined,
    onSubsystem: async name => void (await auth.emit({event: 'subsystem', fields: {name}})),
    onX11: async () => undefined,
    watchTransfer: (kind, command) =>
      watchTransfer({
        ...{kind, command, mode, marker: made.record.marker, emit: auth.emit},
        onLost: error => session.end(error),
        onProblem: () => undefined,
      }),
    onActivity: () => undefined,
    onProblem: () => undefined,
  })
  return {client, target, auth, session, onDone, statuses, disconnect: () => front.client.disconnect()}
}

const text = (value: string): Buffer => new WireWriter().string(value).finish()
const status = (code: number): Buffer => new WireWriter().u32(code).finish()
const done = (onDone: Stage['onDone']) => vi.waitFor(() => expect(onDone).toHaveBeenCalled())
const named = (auth: FakeAuth): string[] => auth.events.map(({event}) => event)

describe('a forwarded session', () => {
  it('begins on record before the target is told to start anything', async () => {
    const auth = fakeAuth()
    let open = (): void => undefined
    auth.gate = new Promise(resolve => {
      open = resolve
    })
    const {client, target} = await stage({auth})
    const started = client.request('exec', text('ls'))
    const far = await target
    const asked = vi.fn(({reply}: ChannelRequest) => reply(true))
    far.onRequest = asked
    await settle(50)
    expect(asked).not.toHaveBeenCalled()
    open()
    expect(await started).toBe(true)
    expect(asked).toHaveBeenCalledWith(expect.objectContaining({type: 'exec'}))
    expect(named(auth)).toEqual(['session.start'])
  })

  it('takes the status after a client has closed, as OpenSSH does once both sides are at their end', async () => {
    const {client, target, auth, statuses, onDone} = await stage()
    await client.request('exec', text('exec >&-; sleep 1; exit 3'))
    const far = await target
    client.end()
    far.end()
    await drain(client)
    client.close()
    await settle(50)
    expect(onDone).not.toHaveBeenCalled()
    void far.request('exit-status', status(3), false)
    far.close()
    await done(onDone)
    await settle()
    expect(statuses).toEqual([{type: 'exit-status', code: 3}])
    expect(auth.named('exec')).toMatchObject([{fields: {exitCode: 3}}])
  })

  it('sends the status after the last byte', async () => {
    const {client, target, statuses} = await stage()
    await client.request('exec', text('cat'))
    const far = await target
    void far.request('exit-status', status(0), false)
    far.end(Buffer.alloc(4_000_000))
    await settle(100)
    expect(statuses).toEqual([])
    expect(await drain(client)).toHaveLength(4_000_000)
    await vi.waitFor(() => expect(statuses).toHaveLength(1))
  })

  it('takes one status of a target, however many it sends', async () => {
    const {client, target, statuses, onDone, auth} = await stage()
    await client.request('exec', text('ls'))
    const far = await target
    for (const code of [1, 2, 3]) void far.request('exit-status', status(code), false)
    for (let n = 0; n < 1000; n++) void far.request('xon-xoff', Buffer.of(1), false)
    far.end()
    client.resume()
    far.close()
    await done(onDone)
    await settle()
    expect(statuses).toEqual([{type: 'exit-status', code: 1}])
    expect(auth.named('session.end')).toMatchObject([{fields: {exit_code: 1}}])
  })

  it.each(['sftp', 'netconf'])('is recorded for every subsystem but sftp: %s', async name => {
    const {client, auth} = await stage()
    expect(await client.request('subsystem', text(name))).toBe(true)
    expect(named(auth)).toEqual(name === 'sftp' ? ['subsystem'] : ['session.start', 'subsystem'])
  })

  it('runs one program', async () => {
    const {client} = await stage()
    expect(await client.request('exec', text('one'))).toBe(true)
    expect(await client.request('exec', text('two'))).toBe(false)
    expect(await client.request('shell')).toBe(false)
  })
})

describe('a session that cannot begin', () => {
  it('says why on stderr, with a status, and only when the program is asked for', async () => {
    const {client, auth, statuses} = await stage({
      beforeRemote: () =>
        Promise.reject(problem('host_unreachable', 'nobody is there', {hint: 'look again'})),
    })
    expect(await client.request('pty-req', Buffer.concat([text('xterm'), Buffer.alloc(20)]))).toBe(true)
    expect(statuses).toEqual([])
    expect(await client.request('shell')).toBe(true)
    expect((await drain(client.stderr)).toString()).toBe(
      'sallyport: nobody is there; look again [host_unreachable]\r\n',
    )
    expect(statuses).toEqual([{type: 'exit-status', code: 255}])
    expect(auth.events).toEqual([])
  })

  it.each(['session.start', 'subsystem'])(
    'is refused when the audit log does not take its %s',
    async event => {
      const auth = fakeAuth()
      auth.losing.add(event)
      const {client, target} = await stage({auth})
      const asked = vi.fn()
      void target.then(far => {
        far.onRequest = ({type, reply}) => {
          asked(type)
          reply(true)
        }
      })
      await (event === 'subsystem' ? client.request('subsystem', text('sftp')) : client.request('shell'))
      expect((await drain(client.stderr)).toString()).toContain(`${event} cannot be written [store_failed]`)
      expect(asked).not.toHaveBeenCalled()
    },
  )

  it('leaves nothing behind when the client goes while the target is being reached', async () => {
    let open = (): void => undefined
    const gate = new Promise<void>(resolve => {
      open = resolve
    })
    const {client, target, auth, onDone} = await stage({beforeRemote: () => gate})
    void client.request('exec', text('ls'))
    await settle()
    client.close()
    await done(onDone)
    open()
    const far = await target
    await vi.waitFor(() => expect(far.isClosed).toBe(true))
    expect(auth.events).toEqual([])
  })

  it('has one start and one end when the client goes while the disk is busy', async () => {
    const auth = fakeAuth()
    let open = (): void => undefined
    auth.gate = new Promise(resolve => {
      open = resolve
    })
    const {client, target, onDone} = await stage({auth})
    void client.request('exec', text('rm -r /'))
    const far = await target
    const asked = vi.fn()
    far.onRequest = asked
    await settle()
    client.close()
    await settle()
    open()
    await done(onDone)
    expect(auth.named('session.start')).toHaveLength(1)
    expect(auth.named('session.end')).toHaveLength(1)
    expect(auth.sealed).toHaveLength(1)
    expect(asked).not.toHaveBeenCalled()
    expect(far.isClosed).toBe(true)
  })
})

describe('a session that is ended', () => {
  const reason = problem('unavailable', 'the proxy is shutting down')

  it('tells its user why, stops the target and is on record', async () => {
    const {client, target, auth, session, statuses, onDone} = await stage()
    await client.request('exec', text('sleep 1000'))
    const far = await target
    const output = drain(client)
    far.write('before')
    await settle()
    session.end(reason)
    session.end(reason)
    far.write('after')
    await done(onDone)
    expect((await drain(client.stderr)).toString()).toBe(
      'sallyport: the proxy is shutting down [unavailable]\r\n',
    )
    expect((await output).toString()).toBe('before')
    expect(statuses).toEqual([{type: 'exit-status', code: 255}])
    expect(far.isClosed).toBe(true)
    expect(auth.named('exec')).toMatchObject([{fields: {exitError: 'the proxy is shutting down'}}])
  })

  it('does not wait for a user who does not read', async () => {
    const {client, target, auth, session, onDone} = await stage()
    await client.request('exec', text('yes'))
    const far = await target
    far.write(Buffer.alloc(8_000_000))
    await settle(100)
    session.end(reason)
    await done(onDone)
    expect(auth.sealed).toHaveLength(1)
  })

  it('delivers nothing unrecorded in strict mode', async () => {
    const auth = fakeAuth()
    const {client, target, onDone} = await stage({auth, mode: 'strict'})
    await client.request('exec', text('yes'))
    const far = await target
    const output = drain(client)
    auth.storeBroken = true
    far.write(Buffer.alloc(200_000, 'a'))
    await done(onDone)
    far.write(Buffer.alloc(200_000, 'b'))
    expect((await output).includes('b')).toBe(false)
    expect(far.isClosed).toBe(true)
  })

  it('delivers nothing that was waiting for a slow reader when the recording of a strict session fails', async () => {
    const {client, target, session, statuses, onDone} = await stage({mode: 'strict'})
    await client.request('exec', text('yes'))
    const far = await target
    far.write(Buffer.alloc(8_000_000, 'a'))
    // The window of the client is full.
    await vi.waitFor(() => expect(client.unread).toBe(2 * 1024 * 1024))
    const delivered = client.unread
    session.recordingLost(problem('recording_unavailable', 'the disk is full'))
    const [output, errors] = [drain(client), drain(client.stderr)]
    await done(onDone)
    expect((await output).length).toBe(delivered)
    expect((await errors).toString()).toBe('sallyport: the disk is full [recording_unavailable]\r\n')
    expect(statuses).toEqual([{type: 'exit-status', code: 255}])
  })

  it('ends by best effort, too, when its ID turns out to be that of another session', async () => {
    const {client, target, session, statuses, onDone} = await stage({})
    await client.request('exec', text('yes'))
    await target
    const cause = problem('already_exists', 'the session is held by another machine')
    session.recordingLost(problem('recording_unavailable', 'it cannot be recorded', {cause}))
    void drain(client)
    void drain(client.stderr)
    await done(onDone)
    expect(statuses).toEqual([{type: 'exit-status', code: 255}])
  })

  it('goes on by best effort when the recording fails, and says so once', async () => {
    const auth = fakeAuth()
    const {client, target, onDone} = await stage({auth})
    await client.request('exec', text('yes'))
    const far = await target
    const output = drain(client)
    let errors = ''
    client.stderr.on('data', chunk => {
      errors += chunk
    })
    auth.storeBroken = true
    far.write(Buffer.alloc(300_000, 'a'))
    await vi.waitFor(() => expect(errors).toContain('\n'))
    far.write(Buffer.alloc(300_000, 'b'))
    await far.request('exit-status', status(3), false)
    far.end()
    far.close()
    await done(onDone)
    expect((await output).length).toBe(600_000)
    expect(errors).toMatch(/^sallyport: the session goes on unrecorded: .* \[recording_unavailable\]\r\n$/)
  })

  it('first delivers what a target had sent that was lost', async () => {
    const {client, target, session, statuses, onDone} = await stage()
    await client.request('exec', text('cat'))
    const far = await target
    const [output, errors] = [drain(client), drain(client.stderr)]
    far.write('last words')
    await settle()
    session.targetLost(problem('host_unreachable', 'the connection was lost'))
    far.close()
    await done(onDone)
    expect((await output).toString()).toBe('last words')
    expect((await errors).toString()).toContain('the connection was lost [host_unreachable]')
    expect(statuses).toEqual([{type: 'exit-status', code: 255}])
  })

  it('is ended when the client floods it with requests', async () => {
    let open = (): void => undefined
    const gate = new Promise<void>(resolve => {
      open = resolve
    })
    const {client, onDone} = await stage({beforeRemote: () => gate})
    for (let n = 0; n < 2000; n++)
      void client.request('env', Buffer.concat([text(`N${n}`), text('v')]), false)
    const errors = drain(client.stderr)
    await done(onDone)
    open()
    expect((await errors).toString()).toContain('[limit_exceeded]')
  })

  it('ends once when the connection of the client breaks', async () => {
    const {client, target, auth, onDone, disconnect} = await stage()
    await client.request('shell')
    const far = await target
    disconnect()
    await done(onDone)
    await vi.waitFor(() => expect(far.isClosed).toBe(true))
    expect(auth.named('session.end')).toHaveLength(1)
    expect(onDone).toHaveBeenCalledOnce()
  })
})

describe('a session that moves files', () => {
  it.each(['strict', 'best_effort'] as const)('and says something else: %s', async mode => {
    const {client, target, auth, statuses, onDone} = await stage({mode})
    await client.request('exec', text('scp -f /etc/hosts'))
    const far = await target
    far.write('root@host:~# ')
    let complaint = ''
    client.stderr.on('data', chunk => {
      complaint += chunk
    })
    if (mode === 'strict') {
      client.resume()
      await done(onDone)
      await settle()
      expect(complaint).toBe(
        'sallyport: the transfer can no longer be followed: a line that is none of the protocol; ' +
          'this session may only move files by SFTP or scp [protocol_error]\r\n',
      )
      expect(statuses).toEqual([{type: 'exit-status', code: 255}])
    } else {
      far.end('\n')
      void far.request('exit-status', status(0), false)
      far.close()
      expect((await drain(client)).toString()).toBe('root@host:~# \n')
      await done(onDone)
    }
    expect(named(auth).filter(event => event === 'session.transfer.lost')).toHaveLength(1)
    expect(named(auth).at(-1)).toBe('session.end')
  })

  describe.each(['stdout', 'stderr'] as const)('as its subsystem and is none, on %s', stream => {
    const begin = async (mode: 'strict' | 'best_effort', auth = fakeAuth()) => {
      const staged = await stage({mode, auth})
      await staged.client.request('subsystem', text('sftp'))
      const far = await staged.target
      expect(named(auth)).toEqual(['subsystem'])
      const sink = stream === 'stdout' ? far : far.stderr
      return {...staged, far, sink}
    }

    it('is recorded from there on like any program', async () => {
      const {client, far, sink, auth, onDone} = await begin('best_effort')
      const outputs: string[] = []
      const append = auth.appendRecording
      auth.appendRecording = async (sid, chunk) => {
        outputs.push(gunzipSync(chunk.data).toString())
        await append(sid, chunk)
      }
      client.resume()
      const said = stream === 'stdout' ? client : client.stderr.resume()
      const heard: Buffer[] = []
      said.on('data', (chunk: Buffer) => heard.push(chunk))
      sink.write('root@host:~# ')
      await vi.waitFor(() => expect(named(auth)).toContain('session.start'))
      client.write('cat secrets\n')
      sink.write('the secrets\r\n')
      far.end()
      void far.request('exit-status', status(0), false)
      far.close()
      await done(onDone)
      expect(Buffer.concat(heard).toString()).toBe('root@host:~# the secrets\r\n')
      expect(outputs.join('')).toContain('root@host:~# ')
      expect(outputs.join('')).toContain('the secrets')
      expect(auth.named('session.start')).toMatchObject([
        {fields: {interactive: false, initial_command: 'sftp', recorded: true}},
      ])
      expect(auth.named('session.end')).toHaveLength(1)
      expect(auth.sealed).toHaveLength(1)
    })

    it('ends where its beginning cannot be put on record', async () => {
      const auth = fakeAuth()
      const {client, sink, onDone} = await begin('best_effort', auth)
      auth.losing.add('session.start')
      client.resume()
      const complaint = stream === 'stdout' ? drain(client.stderr) : undefined
      if (!complaint) client.stderr.resume()
      sink.write('root@host:~# ')
      await done(onDone)
      if (complaint) expect((await complaint).toString()).toContain('[store_failed]')
    })
  })

  it('by what its client sends, is recorded from there on, or ends', async () => {
    for (const mode of ['strict', 'best_effort'] as const) {
      const {client, target, auth, onDone} = await stage({mode})
      await client.request('subsystem', text('sftp'))
      const far = await target
      client.write('ls -l /root; exit\n')
      client.resume()
      client.stderr.resume()
      if (mode === 'best_effort') {
        await vi.waitFor(() => expect(named(auth)).toContain('session.start'))
        far.end()
        far.close()
      }
      await done(onDone)
      expect(named(auth).includes('session.start')).toBe(mode === 'best_effort')
    }
  })

  it('counts what the user gets, whether it is recorded or not', async () => {
    const {client, target, auth, onDone} = await stage()
    await client.request('exec', text('scp -f x'))
    const far = await target
    client.write('\0\0\0')
    far.resume()
    far.end('C0644 5 x\nhello\0')
    void far.request('exit-status', status(0), false)
    far.close()
    expect((await drain(client)).toString()).toBe('C0644 5 x\nhello\0')
    await done(onDone)
    expect(auth.named('session.data')).toMatchObject([{fields: {tx: 16}}])
  })

  it('ends when the client reads no more, whatever of it still waits for a window', async () => {
    const {client, target, onDone, auth} = await stage()
    await client.request('exec', text('cat'))
    const far = await target
    far.onRequest = ({type, reply}) => {
      reply(true)
      if (type !== 'eow@openssh.com') return
      void far.request('exit-signal', text('PIPE'), false)
      far.close()
    }
    // More than the window of a client that never reads.
    far.write(Buffer.alloc(64_000_000))
    await settle(200)
    void client.request('eow@openssh.com', undefined, false)
    await done(onDone)
    expect(named(auth).at(-1)).toBe('session.end')
  })
})
