import {once} from 'node:events'
import {existsSync, readdirSync, readFileSync} from 'node:fs'
import {join} from 'node:path'
import {gunzipSync} from 'node:zlib'
import {beforeAll, describe, expect, it} from 'vitest'
import {type Cluster, startCluster} from '../support/cluster.js'
import {eventually} from '../support/eventually.js'
import {
  descriptors,
  type Event,
  type Field,
  login,
  sshText,
  startFieldWithKey,
  type UserKey,
} from '../support/field.js'
import {start} from '../support/process.js'

let field: Field
let key: UserKey
let cluster: Cluster

beforeAll(async () => {
  const config = {auth_service: {session_recording: 'node'}}
  ;({field, key} = await startFieldWithKey(config, {roles: 'auth,proxy,node'}))
  cluster = field.cluster
})

const direct = (): string[] => [
  ...['-F', 'none', '-o', 'BatchMode=yes', '-o', 'UserKnownHostsFile=/dev/null', '-o', 'LogLevel=ERROR'],
  ...['-o', 'StrictHostKeyChecking=no', '-o', 'IdentitiesOnly=yes', '-i', key.path],
  ...['-p', String(cluster.addresses.node?.port), `${login}@127.0.0.1`],
]
const named = (sid: string, event: string): Event[] =>
  field.events().filter(record => record.sid === sid && record.event === event)

describe('a node', () => {
  it('that gets SIGTERM tells its users, kills what they run, and seals their recordings', async () => {
    const client = start('ssh', [...direct(), 'echo $SSH_SESSION_ID $$; exec sleep 1000'])
    let said = ''
    client.stderr.on('data', chunk => {
      said += chunk
    })
    const [sid = '', pid = ''] = String((await once(client.stdout, 'data'))[0])
      .trim()
      .split(' ')
    const over = once(client, 'exit')
    expect(await cluster.stop('SIGTERM')).toBe(0)
    expect((await over)[0]).toBe(255)
    expect(said).toContain('the node is shutting down')
    expect(existsSync(`/proc/${pid}`)).toBe(false)
    expect(field.recordings().find(recording => recording.sid === sid)?.sealed).toBe(true)
    expect(named(sid, 'session.end')).toHaveLength(1)
    cluster = await startCluster({directory: field.directory, reuse: true, roles: 'auth,proxy,node'})
  })

  it('that is killed leaves a recording of all but the last second, which is closed at the next start', async () => {
    const client = start('ssh', [
      ...direct(),
      'echo $SSH_SESSION_ID; while :; do date +%s.%N; sleep 0.1; done',
    ])
    let output = ''
    client.stdout.on('data', chunk => {
      output += chunk
    })
    await eventually(() => output.split('\n').length > 25, 'some seconds have passed')
    const sid = output.split('\n')[0] ?? ''
    const uuid = readFileSync(join(cluster.dataDir, 'host_uuid'), 'utf8')
    await cluster.stop('SIGKILL')
    client.kill()
    cluster = await startCluster({directory: field.directory, reuse: true, roles: 'auth,proxy,node'})
    await eventually(() => named(sid, 'session.end').length === 1, 'the session is on record')
    expect(named(sid, 'session.start')).toHaveLength(1)
    const recording = field.recordings().find(one => one.sid === sid)
    expect(recording?.sealed).toBe(true)
    const kept = gunzipSync(readFileSync(recording?.path ?? '')).toString('utf8')
    const seen = output.trim().split('\n').slice(1).map(Number)
    const last = seen.filter(time => kept.includes(String(time).slice(0, 12))).at(-1) ?? 0
    expect((seen.at(-1) ?? 0) - last).toBeLessThan(1.6)
    // Made once, kept for ever.
    expect(readFileSync(join(cluster.dataDir, 'host_uuid'), 'utf8')).toBe(uuid)
  })

  it('gives back what connections took: descriptors, processes, sockets of agents', async () => {
    const before = descriptors(cluster.pid).length
    const sockets = () => readdirSync('/tmp').filter(name => name.startsWith('teleport-')).length
    const left = sockets()
    const env = field.agent.env
    const sessions = Array.from({length: 8}, (_, n) =>
      sshText(['-A', '-tt', ...direct(), `exit ${n}`], {env}),
    )
    expect((await Promise.all(sessions)).map(({code}) => code)).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
    const killed = start('ssh', ['-A', '-tt', ...direct(), 'echo here; exec cat'], {env})
    await once(killed.stdout, 'data')
    killed.kill('SIGKILL')
    await eventually(() => descriptors(cluster.pid).length <= before, 'the descriptors are back')
    await eventually(() => sockets() <= left, 'the sockets are gone')
  })
})
