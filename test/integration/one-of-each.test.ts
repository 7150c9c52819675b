import {once} from 'node:events'
import {createServer} from 'node:net'
import {beforeAll, describe, expect, it} from 'vitest'
import {type Cluster, startCluster} from '../support/cluster.js'
import {eventually} from '../support/eventually.js'
import {addToAgent, type Field, login, startField, type UserKey} from '../support/field.js'
import {descendants, type PipedProcess, start} from '../support/process.js'
import type {Sshd} from '../support/sshd.js'

/** However a session ends: one start, one end, one upload, one recording, all of one session ID. */
let field: Field
let cluster: Cluster
let joe: UserKey

beforeAll(async () => {
  field = await startField()
  cluster = field.cluster
  joe = await field.userKey()
  await addToAgent(field.agent, joe)
})

const client = (port: number, words: string[]): PipedProcess => {
  const options = field.throughSubsystem(joe, {port: cluster.addresses.ssh.port})
  return start('ssh', [...options, '-p', String(port), `${login}@127.0.0.1`, ...words], {
    env: field.agent.env,
  })
}

/** Resolves when the session has said its word. */
const speaking = async (child: PipedProcess): Promise<void> => {
  let said = ''
  child.stdout.on('data', chunk => {
    said += chunk
  })
  await eventually(() => said.includes('here'), 'the session speaks')
}

const restart = async (): Promise<void> => {
  cluster = await startCluster({directory: field.directory, reuse: true})
}

interface End {
  name: string
  /** Sessions that begin. */
  sessions: number
  end(target: Sshd): Promise<void>
}

const stay = ['echo here; exec sleep 1000']

const ends: End[] = [
  {
    name: 'a command that ends',
    sessions: 1,
    async end({port}) {
      expect(await once(client(port, ['echo here; exit 3']), 'close')).toEqual([3, null])
    },
  },
  {
    name: 'a client that is killed',
    sessions: 1,
    async end({port}) {
      const child = client(port, stay)
      await speaking(child)
      child.kill('SIGKILL')
    },
  },
  {
    name: 'a target whose sshd is killed with all its sessions',
    sessions: 1,
    async end({port, pid}) {
      const child = client(port, stay)
      await speaking(child)
      for (const each of [pid, ...descendants(pid)]) process.kill(each, 'SIGKILL')
      await once(child, 'close')
    },
  },
  {
    name: 'a target that refuses the connection',
    sessions: 0,
    async end() {
      const server = createServer().listen(0, '127.0.0.1')
      await once(server, 'listening')
      const {port} = server.address() as {port: number}
      server.close()
      await once(server, 'close')
      expect(await once(client(port, ['echo here']), 'close')).toEqual([255, null])
    },
  },
  {
    name: 'a service that is told to stop',
    sessions: 1,
    async end({port}) {
      const child = client(port, stay)
      await speaking(child)
      expect(await cluster.stop('SIGTERM')).toBe(0)
      await restart()
    },
  },
  {
    name: 'a service that is killed',
    sessions: 1,
    async end({port}) {
      const child = client(port, stay)
      await speaking(child)
      await cluster.stop('SIGKILL')
      await restart()
    },
  },
]

describe('exactly one of each', () => {
  it.each(ends)(
    'with $name',
    async ({sessions, end}) => {
      const target = await field.target()
      const [eventsBefore, recordingsBefore] = [field.events().length, field.recordings().length]
      const since = (name: string): unknown[] =>
        field
          .events()
          .slice(eventsBefore)
          .filter(({event}) => event === name)
          .map(({sid}) => sid)
      await end(target)
      if (sessions > 0) await eventually(() => since('session.end')[0], 'the session ends')
      // Whatever would come twice has come when the service has gone in order, and another has looked after what it left.
      await cluster.stop('SIGTERM')
      await restart()
      const started = since('session.start')
      expect(started).toHaveLength(sessions)
      expect(since('session.end')).toEqual(started)
      expect(since('session.upload')).toEqual(started)
      expect(field.recordings().length - recordingsBefore).toBe(sessions)
      for (const sid of started)
        expect(field.recordings().find(recording => recording.sid === sid)).toMatchObject({sealed: true})
    },
    30_000,
  )
})
