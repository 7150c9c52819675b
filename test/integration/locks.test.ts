import {once} from 'node:events'
import {writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {afterEach, beforeAll, describe, expect, it} from 'vitest'
import {eventually} from '../support/eventually.js'
import {type Field, login, sshText, startFieldWithTarget, type UserKey} from '../support/field.js'
import {start} from '../support/process.js'
import type {Sshd} from '../support/sshd.js'

/** Locks against sessions that run on a real sshd, through a real proxy, from stock clients. */

/** From the lock's being acknowledged to the client's end. */
const boundMilliseconds = 2000

interface World {
  field: Field
  target: Sshd
  joe: UserKey
}

async function world(recording: 'proxy' | 'off'): Promise<World> {
  const {field, key: joe, target} = await startFieldWithTarget({auth_service: {session_recording: recording}})
  return {field, joe, target}
}

/** Words for ssh that lead to the target's login. */
const way = ({field, joe, target}: World, host = '127.0.0.1', jump = false): string[] => [
  ...(jump ? field.throughJump(joe) : field.throughSubsystem(joe)),
  ...['-p', String(target.port), `${login}@${host}`],
]

/** A client on a session that would go on for a minute. */
async function running(env: Record<string, string>, words: readonly string[]) {
  const child = start('ssh', [...words, 'echo running; exec sleep 60'], {env})
  const said = {stdout: '', stderr: ''}
  child.stdout.on('data', chunk => {
    said.stdout += chunk
  })
  child.stderr.on('data', chunk => {
    said.stderr += chunk
  })
  const ended = once(child, 'close').then(([code]) => ({code: code as number, at: Date.now()}))
  await eventually(() => said.stdout.includes('running') || child.exitCode !== null, 'the session ran')
  if (child.exitCode !== null) throw new Error(said.stderr)
  return {said, ended}
}

async function lock({field}: World, ...words: string[]): Promise<{id: string; at: number}> {
  const made = await field.cluster.admin(['lock', ...words, '--format=json'])
  if (made.code !== 0) throw new Error(made.stderr)
  return {id: JSON.parse(made.stdout).id, at: Date.now()}
}

async function unlockAll({field}: World): Promise<void> {
  const {stdout} = await field.cluster.admin(['locks', 'ls', '--format=json'])
  for (const {id} of JSON.parse(stdout)) await field.cluster.admin(['unlock', id])
}

describe('a lock at a recording proxy', () => {
  let here: World
  beforeAll(async () => {
    here = await world('proxy')
  })
  afterEach(() => unlockAll(here))

  it('ends the sessions of a user in time, saying why, and lets nobody in until it is gone', async () => {
    const {field} = here
    const sessions = await Promise.all([
      running(field.agent.env, way(here)),
      running(field.agent.env, way(here, '127.0.0.1', true)),
    ])
    const before = field.events().length
    const {id, at} = await lock(here, '--user=joe', '--message=laptop stolen')
    for (const session of sessions) {
      const {code, at: end} = await session.ended
      expect(code).toBe(255)
      expect(end - at).toBeLessThan(boundMilliseconds)
      expect(session.said.stderr).toContain('the user joe is locked: laptop stolen')
    }
    const events = field.events().slice(before)
    expect(events.filter(({event}) => event === 'client.disconnect')).toMatchObject(
      sessions.map(() => ({
        ...{code: 'T3006I', user: 'joe', login, server_hostname: '127.0.0.1'},
        reason: 'the user joe is locked: laptop stolen',
      })),
    )
    await eventually(
      () => field.events().filter(({event}) => event === 'session.end').length === 2,
      'both sessions ended on record',
    )
    expect(field.recordings().every(({sealed}) => sealed)).toBe(true)
    const refused = await sshText([...way(here), 'true'], {env: field.agent.env})
    expect(refused.code).toBe(255)
    expect(refused.stderr).toContain('the user joe is locked: laptop stolen')
    await field.cluster.admin(['unlock', id])
    const again = await sshText([...way(here), 'echo back'], {env: field.agent.env})
    expect(again).toMatchObject({code: 0, stdout: 'back\n'})
  })

  it.each([
    ['a role', ['--role=access'], '127.0.0.1', 'the role access is locked'],
    ['a login', [`--login=${login}`], '127.0.0.1', `the login ${login} is locked`],
    ['a host', ['--node=LOCALHOST.'], 'localhost', 'the node localhost is locked'],
    ['the address of a host', ['--node=127.0.0.1'], 'localhost', 'the node 127.0.0.1 is locked'],
  ])('on %s ends what it is against', async (_, words, host, reason) => {
    const session = await running(here.field.agent.env, way(here, host))
    const {at} = await lock(here, ...words, '--ttl=1m')
    const {at: end} = await session.ended
    expect(end - at).toBeLessThan(boundMilliseconds)
    expect(session.said.stderr).toContain(reason)
    const refused = await sshText([...way(here, host), 'true'], {env: here.field.agent.env})
    expect(refused.stderr).toContain(reason)
  })

  it('on another leaves a session alone', async () => {
    const session = await running(here.field.agent.env, way(here))
    await lock(here, '--user=ann')
    await lock(here, '--login=nobody-here')
    await lock(here, '--node=db9')
    await lock(here, '--user=joe')
    await session.ended
    expect(session.said.stderr).toContain('the user joe is locked')
  })
})

describe('a lock at a proxy that relays', () => {
  let here: World
  beforeAll(async () => {
    here = await world('off')
  })
  afterEach(() => unlockAll(here))

  it.each([
    ['a user', ['--user=joe']],
    ['a login', [`--login=${login}`]],
    ['an address', ['--node=127.0.0.1']],
  ])('on %s ends connections that nobody can look into', async (_, words) => {
    const {field} = here
    const session = await running(field.agent.env, way(here, 'localhost'))
    const before = field.events().length
    const {at} = await lock(here, ...words, '--message=see me')
    const {at: end} = await session.ended
    expect(end - at).toBeLessThan(boundMilliseconds)
    expect(session.said.stderr).toContain('is locked: see me')
    const disconnected = await eventually(
      () =>
        field
          .events()
          .slice(before)
          .find(({event}) => event === 'client.disconnect'),
      'the end is on record',
    )
    expect(disconnected).toMatchObject({user: 'joe', reason: expect.stringContaining('is locked: see me')})
    const refused = await sshText([...way(here, 'localhost'), 'true'], {env: field.agent.env})
    expect(refused.stderr).toContain('is locked: see me')
  })

  it('refuses hosts that no role of the user allows', async () => {
    const {field} = here
    const role = join(field.directory, 'nowhere.yaml')
    writeFileSync(
      role,
      'kind: role\nversion: v1\nmetadata: {name: nowhere}\nspec: {deny: {node_labels: {"*": "*"}}}\n',
    )
    await field.cluster.admin(['create', '-f', role])
    await field.cluster.admin(['users', 'update', 'joe', '--roles=access,nowhere'])
    const refused = await sshText([...way(here), 'true'], {env: field.agent.env})
    expect(refused.stderr).toMatch(/access to 127\.0\.0\.1 denied: role nowhere denies \S+ on 127\.0\.0\.1/)
    await field.cluster.admin(['users', 'update', 'joe', '--roles=access'])
  })
})

describe('options of a role', () => {
  it('limit connections and idleness from the next connection on', async () => {
    const here = await world('proxy')
    const {field} = here
    const role = join(field.directory, 'limits.yaml')
    const write = (options: string): void =>
      writeFileSync(
        role,
        `kind: role\nversion: v1\nmetadata: {name: limits}\nspec: {options: {${options}}}\n`,
      )
    write('max_connections: 1')
    await field.cluster.admin(['create', '-f', role])
    await field.cluster.admin(['users', 'update', 'joe', '--roles=access,limits'])
    const first = await running(field.agent.env, way(here))
    const second = await sshText([...way(here), 'true'], {env: field.agent.env})
    expect(second.stderr).toContain('joe has 1 connection to hosts already, which is the limit')
    const rejected = () => field.events().find(({event}) => event === 'session.rejected')
    expect(await eventually(rejected, 'the refusal was on record')).toMatchObject({user: 'joe'})
    const {id} = await lock(here, '--user=joe')
    await first.ended
    await field.cluster.admin(['unlock', id])
    write('client_idle_timeout: 3s')
    await field.cluster.admin(['create', '-f', role, '--force'])
    const idle = await running(field.agent.env, way(here))
    await idle.ended
    expect(idle.said.stderr).toContain('nothing came or went for 3 s, which is the idle timeout')
  })
})
