import {createHash, randomBytes} from 'node:crypto'
import {once} from 'node:events'
import {existsSync, readFileSync, writeFileSync} from 'node:fs'
import {type AddressInfo, connect, createServer} from 'node:net'
import {join} from 'node:path'
import {gunzipSync} from 'node:zlib'
import {beforeAll, describe, expect, it, vi} from 'vitest'
import {atEnd} from '../support/cleanup.js'
import {shareConnection} from '../support/control-master.js'
import {eventually} from '../support/eventually.js'
import {
  descriptors,
  type Event,
  type Field,
  login,
  peakMemory,
  type Shell,
  shellOf,
  sshText,
  startFieldWithTarget,
  type UserKey,
} from '../support/field.js'
import {type PipedProcess, run, start} from '../support/process.js'
import type {Sshd} from '../support/sshd.js'

/** What people do with OpenSSH, done through the recording proxy with the stock programs. */
let field: Field
let target: Sshd
let joe: UserKey
let shell: Shell

beforeAll(async () => {
  ;({field, target, key: joe} = await startFieldWithTarget())
  shell = shellOf(field, joe, target)
})

const digest = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')
const named = (events: readonly Event[], name: string): Event[] => events.filter(({event}) => event === name)

/** Runs until its output matches. */
async function until(child: PipedProcess, pattern: RegExp): Promise<string> {
  let seen = ''
  child.stdout.setEncoding('latin1')
  await new Promise<void>((resolve, reject) => {
    child.stdout.on('data', (chunk: string) => {
      seen += chunk
      if (pattern.test(seen)) resolve()
    })
    child.once('exit', code => reject(new Error(`ended with ${code} after ${JSON.stringify(seen)}`)))
  })
  return seen
}

/** Events of the session that has ended last, once it has. */
async function sessionSince(count: number): Promise<Event[]> {
  const end = await eventually(() => named(field.events().slice(count), 'session.end')[0], 'the session ends')
  return field.events().filter(({sid}) => sid === end.sid)
}

const played = (sid: unknown): string => {
  const file = field.recordings().find(recording => recording.sid === sid)
  if (!file) throw new Error(`no recording of ${String(sid)}`)
  return gunzipSync(readFileSync(file.path)).toString('utf8')
}

describe('files through the recording proxy', () => {
  const sftp = async (batch: string): Promise<string> => {
    const script = join(field.directory, 'batch')
    writeFileSync(script, batch)
    const result = await run(
      'sftp',
      ['-b', script, ...shell.through, '-P', String(target.port), `${login}@127.0.0.1`],
      {
        env: shell.env,
      },
    )
    expect(result.stderr).toBe('')
    expect(result.code).toBe(0)
    return result.stdout.toString()
  }

  it('go both ways with sftp, byte for byte, and without a recording', async () => {
    const [a, b, c] = ['a', 'b', 'c'].map(name => join(field.directory, name)) as [string, string, string]
    const bytes = randomBytes(3_000_001)
    writeFileSync(a, bytes)
    const recordings = field.recordings().length
    const {events} = await field.during(() => sftp(`put ${a} ${b}\nget ${b} ${c}\n`))
    expect(digest(readFileSync(b))).toBe(digest(bytes))
    expect(digest(readFileSync(c))).toBe(digest(bytes))
    expect(named(events, 'subsystem')).toMatchObject([{name: 'sftp', user: 'joe', login, code: 'T3001I'}])
    expect(field.recordings()).toHaveLength(recordings)
  })

  it.each([[[]], [['-O']]])('go both ways with scp %j', async extra => {
    const bytes = randomBytes(1_500_007)
    const names = ['up', 'there', 'back'].map(name => join(field.directory, `scp-${name}${extra.join('')}`))
    const [up, there, back] = names as [string, string, string]
    writeFileSync(up, bytes)
    const scp = (from: string, to: string) =>
      run('scp', [...extra, ...shell.through, '-P', String(target.port), from, to], {env: shell.env})
    expect(await scp(up, `${login}@127.0.0.1:${there}`)).toMatchObject({code: 0})
    expect(await scp(`${login}@127.0.0.1:${there}`, back)).toMatchObject({code: 0})
    expect(digest(readFileSync(back))).toBe(digest(bytes))
  })
})

describe('ports through the recording proxy', () => {
  /** An echo server, and a way to say something to a port and hear the answer. */
  const echo = async (): Promise<number> => {
    const server = createServer({allowHalfOpen: true}, socket => {
      socket.on('error', () => undefined)
      socket.pipe(socket)
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    atEnd(() => void server.close())
    return (server.address() as AddressInfo).port
  }
  const ask = async (
    port: number,
    question: Buffer,
    preamble?: (socket: ReturnType<typeof connect>) => Promise<void>,
  ) => {
    const socket = connect(port, '127.0.0.1')
    await once(socket, 'connect')
    await preamble?.(socket)
    const answer: Buffer[] = []
    socket.on('data', chunk => answer.push(chunk))
    socket.end(question)
    await once(socket, 'end')
    return Buffer.concat(answer)
  }
  const free = async (): Promise<number> => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const {port} = server.address() as AddressInfo
    server.close()
    await once(server, 'close')
    return port
  }
  /** A stock client that says when it is logged in and then waits. */
  const forwarding = async (
    options: string[],
    use: () => Promise<void>,
    by = shell.through,
  ): Promise<Event[]> => {
    const before = field.events().length
    const client = start(
      'ssh',
      [...by, '-o', 'ExitOnForwardFailure=yes', ...options, ...shell.where, 'echo ready; cat'],
      {
        env: shell.env,
      },
    )
    await until(client, /ready/)
    await use()
    client.stdin.end()
    await once(client, 'exit')
    return field.events().slice(before)
  }
  const question = randomBytes(200_000)

  it('-L leads to a port that the target sees, and is on record', async () => {
    const [port, local] = [await echo(), await free()]
    const events = await forwarding(['-L', `127.0.0.1:${local}:127.0.0.1:${port}`], async () => {
      expect(digest(await ask(local, question))).toBe(digest(question))
    })
    expect(named(events, 'port')).toMatchObject([
      {addr: `127.0.0.1:${port}`, success: true, code: 'T3003I', user: 'joe', login},
    ])
  })

  it('-R leads from the target back to the client, and is on record', async () => {
    const [port, remote] = [await echo(), await free()]
    const events = await forwarding(['-R', `127.0.0.1:${remote}:127.0.0.1:${port}`], async () => {
      expect(digest(await ask(remote, question))).toBe(digest(question))
    })
    expect(named(events, 'port')).toMatchObject([{addr: `127.0.0.1:${remote}`, remote: true, success: true}])
  })

  it('-R works behind -J, where the port is asked for before any agent is offered', async () => {
    const [port, remote] = [await echo(), await free()]
    await forwarding(
      ['-R', `127.0.0.1:${remote}:127.0.0.1:${port}`],
      async () => {
        expect(digest(await ask(remote, question))).toBe(digest(question))
      },
      field.throughJump(joe),
    )
  })

  it('-D leads wherever the SOCKS client says', async () => {
    const [port, local] = [await echo(), await free()]
    await forwarding(['-D', `127.0.0.1:${local}`], async () => {
      const answer = await ask(local, question, async socket => {
        socket.write(Buffer.of(5, 1, 0))
        expect(await once(socket, 'data')).toEqual([Buffer.of(5, 0)])
        socket.write(Buffer.of(5, 1, 0, 1, 127, 0, 0, 1, port >> 8, port & 255))
        const [granted] = (await once(socket, 'data')) as [Buffer]
        expect(granted[1]).toBe(0)
      })
      expect(digest(answer)).toBe(digest(question))
    })
  })

  it('-N -L needs no session', async () => {
    const [port, local] = [await echo(), await free()]
    const before = field.events().length
    const recordings = field.recordings().length
    const client = start(
      'ssh',
      [...shell.through, '-N', '-L', `127.0.0.1:${local}:127.0.0.1:${port}`, ...shell.where],
      {
        env: shell.env,
      },
    )
    const answer = await vi.waitFor(() => ask(local, question))
    expect(digest(answer)).toBe(digest(question))
    client.kill()
    await once(client, 'exit')
    const since = field.events().slice(before)
    expect(since.filter(({event}) => event.startsWith('session.')).map(({event}) => event)).toEqual([
      'session.connect',
    ])
    expect(named(since, 'port')).toHaveLength(1)
    expect(field.recordings()).toHaveLength(recordings)
  })

  it('tells the client when nobody listens there', async () => {
    const closed = await free()
    const {result, events} = await field.during(() =>
      sshText([...shell.through, '-W', `127.0.0.1:${closed}`, ...shell.where], {env: shell.env}),
    )
    expect(result.stderr).toContain('Connection refused')
    expect(named(events, 'port')).toMatchObject([{success: false, addr: `127.0.0.1:${closed}`}])
  })
})

describe('sessions through the recording proxy', () => {
  it('share one connection under ControlMaster, with an id and a recording each', async () => {
    const before = field.events().length
    const shared = await shareConnection(join(field.directory, 'cm'), [...shell.through, ...shell.where], {
      env: shell.env,
    })
    const words = [...shared.words, ...shell.through, ...shell.where]
    const results = await Promise.all(
      [1, 2, 3].map(n => sshText([...words, `echo session ${n}; exit ${n}`], {env: shell.env})),
    )
    expect(results.map(({code, stdout}) => [code, stdout])).toEqual([1, 2, 3].map(n => [n, `session ${n}\n`]))
    await shared.close()
    const events = field.events().slice(before)
    for (const name of ['session.start', 'session.upload', 'session.end']) {
      expect(new Set(named(events, name).map(({sid}) => sid)).size).toBe(3)
      expect(named(events, name)).toHaveLength(3)
    }
    expect(named(events, 'session.connect')).toHaveLength(1)
  })

  it('has no more of them at once than the limit says', async () => {
    const shared = await shareConnection(join(field.directory, 'cl'), [...shell.through, ...shell.where], {
      env: shell.env,
    })
    const words = [...shared.words, ...shell.through, '-o', 'LogLevel=ERROR', ...shell.where]
    const many = Array.from({length: 12}, () => start('ssh', [...words, 'echo in; cat'], {env: shell.env}))
    const said = await Promise.all(
      many.map(async client => {
        const [first] = (await Promise.race([once(client.stdout, 'data'), once(client.stderr, 'data')])) as [
          Buffer,
        ]
        return first.toString()
      }),
    )
    expect(said.filter(text => text === 'in\n')).toHaveLength(10)
    for (const client of many) client.stdin.end()
    await Promise.all(many.map(client => client.exitCode ?? once(client, 'exit')))
    await shared.close()
    expect(named(field.events(), 'session.rejected').at(-1)).toMatchObject({
      error: 'this connection has 10 sessions already, which is the limit',
      code: 'T1006W',
    })
  })

  it('ends once when the client is killed, and so does what ran on the target', async () => {
    const before = field.events().length
    const client = start('ssh', [...shell.through, ...shell.where, 'echo $$; exec sleep 1000'], {
      env: shell.env,
    })
    const pid = Number((await until(client, /\d+\n/)).trim())
    client.kill('SIGKILL')
    const session = await sessionSince(before)
    expect(named(session, 'session.start')).toHaveLength(1)
    expect(named(session, 'session.end')).toHaveLength(1)
    expect(named(session, 'exec')).toMatchObject([{success: false, exitError: 'the session was cut off'}])
    const sid = session[0]?.sid
    expect(field.recordings().find(recording => recording.sid === sid)?.sealed).toBe(true)
    // sshd closes the pipes of a command without a terminal; its next write, or its end, is its own affair.
    await target.waitForLog(/Close session|Disconnected|Connection closed/, 0)
    process.kill(pid, 'SIGKILL')
  })

  it('hangs up the terminal on the target when the client is killed', async () => {
    const before = field.events().length
    const client = start('ssh', [...shell.through, '-tt', ...shell.where, 'echo pid $$; exec sleep 1000'], {
      env: shell.env,
    })
    const pid = Number(/pid (\d+)/.exec(await until(client, /pid \d+\r\n/))?.[1])
    client.kill('SIGKILL')
    await eventually(() => !existsSync(`/proc/${pid}`), 'the process on the target is gone')
    expect(named(await sessionSince(before), 'exec')).toMatchObject([{exitError: 'the session was cut off'}])
  })

  it('says so when the target dies in the middle', async () => {
    const mortal = await field.target()
    const before = field.events().length
    const client = start(
      'ssh',
      [...shell.through, '-p', String(mortal.port), `${login}@127.0.0.1`, 'echo before; exec sleep 1000'],
      {env: shell.env},
    )
    let stderr = ''
    client.stderr.on('data', chunk => {
      stderr += chunk
    })
    await until(client, /before\n/)
    await mortal.stop()
    const [code] = (await once(client, 'close')) as [number]
    expect(code).toBe(255)
    expect(stderr).toMatch(/sallyport: the connection to 127.0.0.1 was lost.*\[host_unreachable\]/)
    const session = await sessionSince(before)
    expect(named(session, 'exec')).toMatchObject([{exitError: 'the connection to 127.0.0.1 was lost'}])
    expect(played(session[0]?.sid)).toContain('before')
  })

  it('passes on the signal that ended a command', async () => {
    const {result, events} = await field.during(() => shell.ssh(['kill -TERM $$']))
    expect(result.code).toBe(255)
    const session = events.filter(({sid}) => sid === named(events, 'session.start')[0]?.sid)
    expect(named(session, 'session.end')).toMatchObject([{exit_signal: 'TERM'}])
  })

  it('passes on a status that comes long after the end of the output', async () => {
    const {result, events} = await field.during(() => shell.ssh(['exec >&- 2>&-; sleep 0.3; exit 3']))
    expect(result.code).toBe(3)
    expect(named(events, 'exec')).toMatchObject([{exitCode: 3}])
  })

  it('passes on the environment, but nothing that changes how programs are loaded', async () => {
    const {stdout} = await shell.ssh(['env'], {
      env: {
        ...shell.env,
        LANG: 'C.UTF-8',
        LD_PRELOAD: '',
        LD_X: 'bad',
        NODE_OPTIONS: '--no-warnings',
        GREETING: 'hello',
      },
    })
    expect(stdout).not.toContain('LD_X')
    const sent = ['-o', 'SendEnv=*']
    const all = await sshText([...shell.through, ...sent, ...shell.where, 'env'], {
      env: {...shell.env, LD_X: 'bad', DYLD_X: 'bad', NODE_OPTIONS: '--no-warnings', GREETING: 'hello'},
    })
    expect(all.stdout).toContain('GREETING=hello')
    expect(all.stdout).not.toMatch(/LD_X|DYLD_X|NODE_OPTIONS/)
  })

  it('ends when nobody reads any more, though the program would go on for ever', async () => {
    const {code, stdout} = await run(
      'sh',
      ['-c', `ssh "$@" yes | head -1`, 'sh', ...shell.through, ...shell.where],
      {
        env: shell.env,
      },
    )
    expect([code, stdout.toString()]).toEqual([0, 'y\n'])
  })

  it('waits for a slow reader without growing, and loses nothing', async () => {
    const megabytes = 300
    const before = peakMemory(field.cluster.pid)
    const client = start('ssh', [...shell.through, ...shell.where, `head -c ${megabytes}M /dev/zero`], {
      env: shell.env,
    })
    let bytes = 0
    let slow = true
    client.stdout.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      if (!slow || bytes < 20_000_000) return
      slow = false
      // A reader that stops for a while: what is on its way has to wait where it is.
      client.stdout.pause()
      setTimeout(() => client.stdout.resume(), 2000)
    })
    const [code] = (await once(client, 'close')) as [number]
    expect([code, bytes]).toEqual([0, megabytes * 1024 * 1024])
    expect(peakMemory(field.cluster.pid) - before).toBeLessThan(150)
  })

  it('serves many at once, and leaves no descriptor behind', async () => {
    await shell.ssh(['true'])
    const before = descriptors(field.cluster.pid).length
    const results = await Promise.all(Array.from({length: 12}, (_, n) => shell.ssh([`echo ${n}`])))
    expect(results.map(({stdout}) => stdout.trim())).toEqual(results.map((_, n) => String(n)))
    await eventually(() => descriptors(field.cluster.pid).length <= before, 'the descriptors are closed')
  })
})
