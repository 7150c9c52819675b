import {once} from 'node:events'
import {writeFileSync} from 'node:fs'
import {connect, createServer, type Socket} from 'node:net'
import {join} from 'node:path'
import {afterEach, beforeAll, describe, expect, it} from 'vitest'
import {type SharedConnection, shareConnection} from '../support/control-master.js'
import {eventually} from '../support/eventually.js'
import {
  addToAgent,
  descriptors,
  type Event,
  type Field,
  login,
  peakMemory,
  sshText,
  startField,
  type UserKey,
} from '../support/field.js'
import {run, start} from '../support/process.js'
import {type Watched, watch} from '../support/watch.js'

// What keeps a node alive and others served, whatever its clients do: stock clients, straight to the node.

const maxConnections = 200
/** As `src/lib/node/start.ts` has it. */
const newcomersOfAnAddress = 128
/** From a lock's being acknowledged to the client's end. */
const boundMilliseconds = 2000

let field: Field
let key: UserKey
let where: string[]

beforeAll(async () => {
  field = await startField(
    {
      teleport: {connection_limits: {max_connections: maxConnections}},
      auth_service: {session_recording: 'node'},
    },
    {roles: 'auth,proxy,node'},
  )
  key = await field.userKey()
  await addToAgent(field.agent, key)
  where = [...field.straight(key), `${login}@127.0.0.1`]
})

const at = (command: string, words: string[] = []) => sshText([...words, ...where, command])
const named = (events: Event[], name: string): Event[] => events.filter(({event}) => event === name)

async function running(command = 'echo in; exec sleep 100', words: string[] = []): Promise<Watched> {
  const client = watch(start('ssh', [...words, ...where, command]))
  await client.saying('in\n')
  return client
}

/** Connections that say nothing, from an address of this machine. */
async function silent(count: number, localAddress: string): Promise<Socket[]> {
  const {port = 0} = field.cluster.addresses.node ?? {}
  const crowd = Array.from({length: count}, () => connect({port, host: '127.0.0.1', localAddress}))
  for (const socket of crowd) socket.on('error', () => undefined)
  // Greeted or sent away: the node has dealt with each.
  await Promise.all(
    crowd.map(socket => Promise.race([once(socket, 'data'), once(socket, 'close').catch(() => undefined)])),
  )
  return crowd
}
const open = (crowd: Socket[]): number => crowd.filter(({destroyed}) => !destroyed).length

const tooMany = (limit: number): string => `this connection has ${limit} sessions already, which is the limit`

const shared = (name: string): Promise<SharedConnection> =>
  shareConnection(join(field.directory, name), where)

describe('on one connection', () => {
  it('ten sessions are the limit, and the eleventh is refused on record', async () => {
    const connection = await shared('ten')
    const many = await Promise.all(
      Array.from({length: 10}, () => running('echo in; exec cat', connection.words)),
    )
    const {result, events} = await field.during(() => at('echo in', connection.words))
    expect(result.stdout).toBe('')
    expect(result.stderr).toContain('Session open refused by peer')
    expect(named(events, 'session.rejected')).toMatchObject([
      {code: 'T1006W', user: 'joe', login, error: tooMany(10)},
    ])
    await connection.close()
    await Promise.all(many.map(({ended}) => ended))
  })

  it('what a program does not read waits at its client, not in the node', async () => {
    const client = start('ssh', [...where, 'echo in; sleep 1; cksum'])
    const watched = watch(client)
    await watched.saying('in\n')
    const before = peakMemory(field.cluster.pid)
    const input = Buffer.alloc(100_000_000)
    client.stdin.end(input)
    await watched.ended
    const sum = await run('cksum', [], {input})
    expect(watched.said.stdout).toBe(`in\n${sum.stdout}`)
    expect(peakMemory(field.cluster.pid) - before).toBeLessThan(60)
  })
})

describe('an agent that does not answer', () => {
  /** SSH_AGENTC_EXTENSION and SSH_AGENT_FAILURE (draft-miller-ssh-agent). */
  const [extension, failure] = [27, 5]

  it('is let go when the program that asked it is gone, and keeps nothing else waiting', async () => {
    const path = join(field.directory, 'silent-agent')
    const asked: Socket[] = []
    const server = createServer(socket => {
      let come = Buffer.alloc(0)
      socket.on('data', chunk => {
        // Clients write the length of a message by itself.
        for (
          come = Buffer.concat([come, chunk]);
          come.length > 4 && come.length >= 4 + come.readUInt32BE();
        ) {
          const type = come[4]
          come = come.subarray(4 + come.readUInt32BE())
          // The client itself binds the agent to the host before it lends it, and waits for the answer.
          if (type === extension) socket.write(Buffer.from([0, 0, 0, 1, failure]))
          else asked.push(socket)
        }
      })
    })
    server.listen(path)
    await once(server, 'listening')
    const ask = 'ssh-add -l & read -r word; kill -KILL $!; echo "gave up"; exec cat'
    const {env} = field.agent
    const client = start('ssh', ['-o', `ForwardAgent=${path}`, ...where, ask], {env})
    const watched = watch(client)
    await eventually(() => asked.length === 1, 'the agent is asked')
    client.stdin.write('enough\n')
    await watched.saying('gave up\n')
    await eventually(() => asked[0]?.closed, 'the agent is let go')
    client.stdin.end()
    expect(await watched.ended).toBe(0)
    server.close()
  })
})

describe('of one address', () => {
  it('those who say nothing give way to those who come, there and elsewhere', async () => {
    const crowd = await silent(newcomersOfAnAddress, '127.0.0.2')
    expect(open(crowd)).toBe(newcomersOfAnAddress)
    const other = await silent(1, '127.0.0.3')
    const more = await silent(5, '127.0.0.2')
    await eventually(() => open(crowd) === newcomersOfAnAddress - 5, 'five of them had to go')
    expect(crowd.slice(0, 5).every(({destroyed}) => destroyed)).toBe(true)
    for (const from of ['127.0.0.1', '127.0.0.2'])
      expect(await at('echo in', ['-b', from])).toMatchObject({code: 0, stdout: 'in\n'})
    expect([open(more), open(other)]).toEqual([5, 1])
    for (const socket of [...crowd, ...more, ...other]) socket.destroy()
  })

  it('and of all of them together no more come than connection_limits says, until there is room', async () => {
    const before = descriptors(field.cluster.pid).length
    const crowds = [await silent(100, '127.0.0.2'), await silent(120, '127.0.0.3')]
    await eventually(() => open(crowds.flat()) <= maxConnections, 'those over the limit are turned away')
    expect(open(crowds.flat())).toBeGreaterThan(maxConnections - 10)
    expect((await at('true')).code).toBe(255)
    for (const socket of crowds.flat()) socket.destroy()
    await eventually(() => descriptors(field.cluster.pid).length <= before, 'there is room')
    expect(await at('echo in')).toMatchObject({code: 0, stdout: 'in\n'})
  })
})

describe('without descriptors', () => {
  const limit = (count: number) => run('prlimit', ['--pid', String(field.cluster.pid), `--nofile=${count}:`])
  afterEach(async () => void (await limit(1024)))
  /** So many can be opened beside those that are. */
  const leave = (free: number): Promise<unknown> => {
    const used = new Set(descriptors(field.cluster.pid).map(Number))
    let count = 0
    for (let left = free; left > 0 || used.has(count); count++) if (!used.has(count)) left--
    return limit(count)
  }

  it('sessions are refused in words, those that run go on, and afterwards all is well', async () => {
    const connection = await shared('starved')
    const client = start('ssh', [...connection.words, ...where, 'echo in; cat'])
    const lives = watch(client)
    await lives.saying('in\n')
    const before = descriptors(field.cluster.pid).length
    for (const free of [0, 2, 4, 12])
      for (const terminal of ['-T', '-tt']) {
        await leave(free)
        const refused = await at('echo never', [...connection.words, terminal])
        expect([free, terminal, refused.stdout, refused.code]).toEqual([free, terminal, '', 255])
        expect(refused.stderr).toMatch(/this host can start no more programs|this host has no terminal left/)
      }
    client.stdin.write('still there\n')
    await lives.saying('still there\n')
    await limit(1024)
    await eventually(() => descriptors(field.cluster.pid).length <= before, 'no descriptor is lost')
    for (const terminal of ['-T', '-tt'])
      expect((await at('echo in', [...connection.words, terminal])).stdout.trim()).toBe('in')
    client.stdin.end()
    expect(await lives.ended).toBe(0)
    await connection.close()
    expect(await at('echo in')).toMatchObject({code: 0, stdout: 'in\n'})
    expect((await field.cluster.admin(['audit', 'verify'])).code).toBe(0)
    const ids = (name: string): unknown[] =>
      named(field.events(), name)
        .map(({sid}) => sid)
        .sort()
    await eventually(() => ids('session.end').length === ids('session.start').length, 'each has its end')
    expect(ids('session.end')).toEqual(ids('session.start'))
  })
})

describe('options of a role', () => {
  afterEach(async () => void (await field.cluster.admin(['users', 'update', 'joe', '--roles=access'])))

  it('limit connections, sessions and idleness at the node as well', async () => {
    const role = join(field.directory, 'limits.yaml')
    const limits = async (options: string): Promise<void> => {
      writeFileSync(
        role,
        `kind: role\nversion: v1\nmetadata: {name: limits}\nspec: {options: {${options}}}\n`,
      )
      expect((await field.cluster.admin(['create', '-f', role, '--force'])).code).toBe(0)
    }
    await limits('max_connections: 1, max_sessions: 1')
    await field.cluster.admin(['users', 'update', 'joe', '--roles=access,limits'])
    const connection = await shared('limited')
    const first = await running('echo in; exec cat', connection.words)
    const {events} = await field.during(() => at('true', connection.words))
    expect(named(events, 'session.rejected')).toMatchObject([{error: tooMany(1)}])
    expect((await at('true')).stderr).toContain('joe has 1 connection to hosts already, which is the limit')
    await connection.close()
    await first.ended
    await limits('client_idle_timeout: 1s')
    const idle = watch(start('ssh', [...where, 'exec sleep 100']))
    expect(await idle.ended).toBe(255)
    expect(idle.said.stderr).toContain('nothing came or went for 1 s, which is the idle timeout')
  })
})

describe('a lock at the node', () => {
  const lock = async (...words: string[]) => {
    const client = await running()
    const ended = client.ended.then(code => ({code, at: performance.now()}))
    const locked = await field.cluster.admin(['lock', ...words, '--message=see me', '--format=json'])
    const since = performance.now()
    const {code, at: when} = await ended
    expect(code).toBe(255)
    expect(when - since).toBeLessThan(boundMilliseconds)
    return {id: JSON.parse(locked.stdout).id as string, said: client.said.stderr}
  }

  it.each([
    ['a user', '--user=joe'],
    ['a role', '--role=access'],
    ['a login', `--login=${login}`],
    ['the name of the node', '--node=proxy-1'],
  ])('on %s ends what runs in time, and lets nobody in until it is taken away', async (_, word) => {
    const {id, said} = await lock(word)
    expect(said).toContain('is locked: see me')
    expect((await at('true')).stderr).toContain('is locked: see me')
    expect((await field.cluster.admin(['unlock', id])).code).toBe(0)
    expect((await at('true')).code).toBe(0)
  })

  it('for a time ends by itself', async () => {
    const {said} = await lock('--user=joe', '--ttl=2s')
    expect(said).toMatch(/is locked until \S+: see me/)
    await eventually(async () => (await at('true')).code === 0, 'the lock has ended')
  })
})

describe('SIGTERM', () => {
  it('gives a short command the time to finish, and tells the others why they end', async () => {
    const short = await running('echo in; sleep 1; echo done; exit 4')
    const long = await running()
    expect(await field.cluster.stop('SIGTERM')).toBe(0)
    expect(await short.ended).toBe(4)
    expect(short.said.stdout).toBe('in\ndone\n')
    expect(await long.ended).toBe(255)
    expect(long.said.stderr).toContain('the node is shutting down')
    expect(field.recordings().every(({sealed}) => sealed)).toBe(true)
    const execs = named(field.events(), 'exec').slice(-2)
    expect(execs.map(({exitCode, exitError}) => exitCode ?? exitError)).toEqual([
      4,
      'the node is shutting down',
    ])
  })
})
