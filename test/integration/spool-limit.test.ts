import {existsSync, readdirSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {beforeAll, expect, it} from 'vitest'
import {joiningWords, startAuth} from '../support/apart.js'
import {eventually} from '../support/eventually.js'
import {type Event, login} from '../support/field.js'
import {type Machine, startMachine} from '../support/machines.js'
import {start} from '../support/process.js'
import {temporaryDirectory} from '../support/temporary-directory.js'
import {watch} from '../support/watch.js'

// A node keeps what it records while the auth service is away, up to `spool_limit`. What becomes of a session then is for
// the roles of its user to say.

const directory = temporaryDirectory()
let auth: Machine
let node: Machine

beforeAll(async () => {
  auth = await startAuth(directory, 'node')
  const role = join(directory, 'strict.yaml')
  writeFileSync(
    role,
    'kind: role\nversion: v1\nmetadata: {name: strict}\nspec: {options: {record_session: {ssh: strict}}}\n',
  )
  for (const words of [
    ['create', '-f', role],
    ['users', 'add', 'joe', login],
    ['users', 'add', 'ann', login, '--roles=access,strict'],
    ['auth', 'sign', '--user=joe', '--format=openssh', `--out=${join(directory, 'joe')}`],
    ['auth', 'sign', '--user=ann', '--format=openssh', `--out=${join(directory, 'ann')}`],
  ])
    expect((await auth.admin(words)).stderr).toBe('')
  node = await startMachine({
    ...{directory: join(directory, 'node'), roles: 'node', args: await joiningWords(auth, 'node')},
    config: {
      teleport: {
        ...{nodename: 'far1', auth_servers: [`127.0.0.1:${auth.addresses.auth?.port}`]},
        spool_limit: '400kB',
      },
      ...{auth_service: {enabled: 'no'}, proxy_service: {enabled: 'no'}},
      ssh_service: {enabled: 'yes', listen_addr: '127.0.0.1:0'},
    },
  })
})

const as = (user: string): string[] => [
  ...['-F', 'none', '-o', 'BatchMode=yes', '-o', 'UserKnownHostsFile=/dev/null', '-o', 'LogLevel=ERROR'],
  ...['-o', 'StrictHostKeyChecking=no', '-o', 'IdentitiesOnly=yes', '-i', join(directory, user)],
  ...['-p', String(node.addresses.node?.port), `${login}@127.0.0.1`],
]

function events(): Event[] {
  const log = join(auth.dataDir, 'audit')
  return readdirSync(log)
    .filter(name => name.endsWith('.jsonl'))
    .flatMap(name => readFileSync(join(log, name), 'utf8').trimEnd().split('\n'))
    .map(line => JSON.parse(line) as Event)
}
const namesOf = (user: string): string[] => events().flatMap(one => (one.user === user ? [one.event] : []))

/** A session that says more than fits in the course of some seconds, once it is told to. */
async function session(user: string) {
  const noise = 'for i in $(seq 30); do head -c 30000 /dev/urandom | base64; sleep 0.1; done'
  const client = start('ssh', [...as(user), `echo in; read word; ${noise}; echo all of it; cat`])
  const watched = watch(client)
  await watched.saying('in\n')
  return {client, watched}
}

it('when it is reached strict sessions end and others go on, both are told, and all of it is on record later', async () => {
  const [strict, lenient] = [await session('ann'), await session('joe')]
  const port = auth.addresses.auth?.port ?? 0
  await auth.stop('SIGKILL')

  strict.client.stdin.write('go\n')
  expect(await strict.watched.ended).toBe(255)
  expect(strict.watched.said.stdout.includes('all of it')).toBe(false)
  expect(strict.watched.said.stderr).toContain('what waits for the auth service has reached its limit')

  lenient.client.stdin.write('go\n')
  await lenient.watched.saying('all of it\n')
  expect(lenient.watched.said.stderr).toContain('the session goes on unrecorded')

  lenient.client.stdin.end()
  expect(await lenient.watched.ended).toBe(0)

  auth = await startAuth(directory, 'node', port)
  // Tried again ever more seldom while it was away.
  const delivered = () => ['joe', 'ann'].every(user => namesOf(user).includes('session.end'))
  await expect.poll(delivered, {timeout: 60_000, interval: 200}).toBe(true)
  const of = (user: string, name: string) => events().filter(one => one.user === user && one.event === name)
  for (const user of ['joe', 'ann'])
    expect([of(user, 'session.start').length, of(user, 'session.end').length]).toEqual([1, 1])
  expect(of('joe', 'session.recording.failed')).toHaveLength(1)
  expect(of('ann', 'exec')).toMatchObject([{exitError: expect.stringContaining('has reached its limit')}])
  const spool = join(node.dataDir, 'outbox', 'node')
  await eventually(() => !existsSync(spool) || readdirSync(spool).length === 0, 'nothing is left')
  const recordings = JSON.parse((await auth.admin(['recordings', 'ls', '--format=json'])).stdout)
  expect(recordings).toHaveLength(2)
  for (const {sid, user} of recordings as {sid: string; user: string}[]) {
    const {stdout} = await auth.admin(['play', sid, '--format=raw'])
    if (user === 'ann') {
      // Nothing was shown that is in no recording.
      expect(strict.watched.said.stdout.length).toBeGreaterThan(100_000)
      expect(stdout.startsWith(strict.watched.said.stdout)).toBe(true)
    } else {
      // Of this one nothing may have had room.
      expect(lenient.watched.said.stdout.startsWith(stdout)).toBe(true)
    }
  }
  expect(await auth.admin(['audit', 'verify'])).toMatchObject({code: 0})
})
