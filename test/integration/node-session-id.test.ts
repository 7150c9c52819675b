import {once} from 'node:events'
import {readFileSync} from 'node:fs'
import {gunzipSync} from 'node:zlib'
import {beforeAll, describe, expect, it} from 'vitest'
import {type Event, type Field, login, sshText, startFieldWithKey, type UserKey} from '../support/field.js'
import {start} from '../support/process.js'

/** A node whose sessions the proxy records: one ID, one record, wherever somebody looks. */
let field: Field
let key: UserKey

beforeAll(async () => {
  const config = {auth_service: {session_recording: 'proxy'}}
  ;({field, key} = await startFieldWithKey(config, {roles: 'auth,proxy,node'}))
})

const where = (): string[] => ['-p', String(field.cluster.addresses.node?.port), `${login}@127.0.0.1`]
const env = () => field.agent.env
const named = (events: Event[], name: string): Event[] => events.filter(({event}) => event === name)
const recorded = (sid: string): string[] =>
  field
    .recordings()
    .filter(recording => recording.sid === sid)
    .map(({path}) => gunzipSync(readFileSync(path)).toString('utf8'))
const script = 'echo on record; echo $SSH_SESSION_ID; exit 3'

describe.each<[string, () => string[]]>([
  ['its subsystem', () => field.throughSubsystem(key)],
  ['`ssh -A -J`', () => field.throughJump(key, {jump: ' ForwardAgent yes\n'})],
  ['`ssh -A -J` whose jump does not lend the agent', () => field.throughJump(key)],
])('through the recording proxy by %s', (name, way) => {
  it('has one ID in the session, the events and the recording, each written once, by the proxy', async () => {
    const {result, events} = await field.during(() => sshText([...way(), ...where(), script], {env: env()}))
    expect(result.code).toBe(3)
    const sid = result.stdout.trim().split('\n').at(-1) ?? ''
    const facts = {sid, user: 'joe', login, forwarded_by: 'proxy-1', session_recording: 'proxy'}
    for (const name of ['session.start', 'session.upload', 'exec', 'session.data', 'session.end'])
      expect(named(events, name)).toMatchObject([facts])
    expect(recorded(sid)).toHaveLength(1)
    expect(recorded(sid)[0]).toContain('on record')
    expect(new Set(events.flatMap(event => event.sid ?? []))).toEqual(new Set([sid]))
  })

  const lack = {meta: {lack: 'a port alone has no session that could offer an agent'}}
  it.skipIf(name.includes('not lend'))(
    'has each file transfer and each port on record once',
    lack,
    async () => {
      const port = field.cluster.addresses.node?.port
      const tunnel = await field.during(() =>
        sshText([...way(), '-W', `127.0.0.1:${port}`, ...where()], {env: env()}),
      )
      expect(tunnel.result.stdout).toMatch(/^SSH-2\.0-/)
      expect(named(tunnel.events, 'port')).toMatchObject([{forwarded_by: 'proxy-1'}])
      const sftp = await field.during(() => sshText([...way(), '-s', ...where(), 'sftp'], {env: env()}))
      expect(named(sftp.events, 'subsystem')).toMatchObject([{name: 'sftp', forwarded_by: 'proxy-1'}])
    },
  )
})

describe('a session at a node that others look at', () => {
  it('is listed once, by the one ID, and can be ended from elsewhere', async () => {
    const way = [...field.throughSubsystem(key), ...where()]
    const client = start('ssh', [...way, 'echo $SSH_SESSION_ID; exec sleep 100'], {env: env()})
    const [said] = await once(client.stdout, 'data')
    const sid = String(said).trim()
    const {stdout} = await field.cluster.admin(['sessions', 'ls', '--format=json'])
    expect(JSON.parse(stdout)).toMatchObject([{sid, user: 'joe', state: 'running'}])
    const left = once(client, 'exit')
    expect((await field.cluster.admin(['sessions', 'end', sid])).code).toBe(0)
    const [code] = await left
    expect(code).toBe(255)
  })
})

describe('straight to the node, past the proxy that should record', () => {
  const direct = (): string[] => [
    ...['-F', 'none', '-o', 'BatchMode=yes', '-o', `UserKnownHostsFile=${field.knownHosts}`],
    ...['-o', 'StrictHostKeyChecking=yes', '-o', 'IdentitiesOnly=yes', '-i', key.path],
  ]

  it('is recorded by the node', async () => {
    const {result, events} = await field.during(() => sshText([...direct(), ...where(), script]))
    const sid = result.stdout.trim().split('\n').at(-1) ?? ''
    expect(named(events, 'session.start')).toMatchObject([{sid, user: 'joe', session_recording: 'node'}])
    expect(named(events, 'session.start')[0]).not.toHaveProperty('forwarded_by')
    expect(named(events, 'session.end')).toHaveLength(1)
    expect(recorded(sid)[0]).toContain('on record')
  })

  it('is recorded by the node also through a port that the proxy forwards', async () => {
    const jump = [...field.throughSubsystem(key), '-p', String(field.cluster.addresses.node?.port)]
    const hop = `ssh ${jump.map(word => `'${word}'`).join(' ')} -W %h:%p ${login}@127.0.0.1`
    const {result, events} = await field.during(() =>
      sshText([...direct(), '-o', `ProxyCommand=${hop}`, ...where(), script], {env: env()}),
    )
    const sid = result.stdout.trim().split('\n').at(-1) ?? ''
    expect(named(events, 'session.start')).toMatchObject([{sid, session_recording: 'node'}])
    expect(recorded(sid)[0]).toContain('on record')
  })
})
