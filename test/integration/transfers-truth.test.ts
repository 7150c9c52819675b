import {createHash, randomBytes} from 'node:crypto'
import {existsSync, mkdirSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {beforeAll, describe, expect, it} from 'vitest'
import {eventually} from '../support/eventually.js'
import type {UserKey} from '../support/field.js'
import {addToAgent, type Event, type Field, login, startFieldWithTarget} from '../support/field.js'
import {run} from '../support/process.js'
import {type RawSftp, rawSftp} from '../support/raw-sftp.js'
import type {Sshd} from '../support/sshd.js'
import {flags, type Passage, sftp as packets} from '../unit/transfer/fixture.js'

/** What the log says of a file is true of the file on the host, of sshd's own sftp-server. */
let field: Field
let target: Sshd
let joe: UserKey
let ann: UserKey
let there: string
let here: string

beforeAll(async () => {
  ;({field, target, key: joe} = await startFieldWithTarget())
  there = join(field.directory, 'there')
  here = join(field.directory, 'here')
  for (const directory of [there, here]) mkdirSync(directory)
  const role = join(field.directory, 'strict.yaml')
  writeFileSync(
    role,
    'kind: role\nversion: v1\nmetadata: {name: strict}\nspec: {options: {record_session: {ssh: strict}}}\n',
  )
  for (const words of [
    ['create', '-f', role],
    ['users', 'add', 'ann', login, '--roles=access,strict'],
  ])
    expect((await field.cluster.admin(words)).stderr).toBe('')
  ann = await field.userKey({
    user: 'ann',
    extensions: [
      ...[['permit-pty', ''] as const, ['permit-agent-forwarding', ''] as const],
      ...[['permit-port-forwarding', ''] as const],
      ['teleport-roles', JSON.stringify({version: 'v1', roles: ['access', 'strict']})],
    ],
  })
  await addToAgent(field.agent, ann)
})

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')
const named = (events: readonly Event[], ...names: string[]): Event[] =>
  events.filter(({event}) => names.includes(event))
const remote = (path: string): string => `${login}@127.0.0.1:${path}`
const options = (key = joe): string[] => ['-q', ...field.throughSubsystem(key)]

async function during(program: string, args: string[]): Promise<Event[]> {
  const {result, events} = await field.during(() => run(program, args, {env: field.agent.env}))
  expect([result.code, result.stderr]).toEqual([0, ''])
  return named(events, 'sftp.write', 'sftp.read', 'session.transfer.lost')
}
const scp = (...args: string[]) => during('scp', [...options(), '-P', String(target.port), ...args])
const sftp = (line: string) => {
  const script = join(field.directory, 'batch')
  writeFileSync(script, `${line}\n`)
  return during('sftp', ['-b', script, ...options(), '-P', String(target.port), remote('').slice(0, -1)])
}
const raw = (key = joe): Promise<RawSftp> =>
  rawSftp('ssh', [...options(key), '-p', String(target.port), '-s', remote('').slice(0, -1), 'sftp'], {
    env: field.agent.env,
  })

describe('what stock programs upload is complete, with the hash of the file', () => {
  it.each<[string, (from: string, to: string) => Promise<Event[]>]>([
    ['scp', (from, to) => scp(from, remote(to))],
    ['scp -p', (from, to) => scp('-p', from, remote(to))],
    ['put', (from, to) => sftp(`put ${from} ${to}`)],
    ['put -p', (from, to) => sftp(`put -p ${from} ${to}`)],
    ['put -f', (from, to) => sftp(`put -f ${from} ${to}`)],
  ])('by %s: over a longer file, a shorter one and none', async (name, upload) => {
    for (const [size, before] of [
      [100_003, 300_000],
      [100_003, 50],
      [0, 300_000],
      [700_001, undefined],
    ] as const) {
      const from = join(here, 'up')
      const to = join(there, `${name.replace(/\W/g, '')}-${size}-${before}`)
      const bytes = randomBytes(size)
      writeFileSync(from, bytes)
      if (before !== undefined) writeFileSync(to, randomBytes(before))
      expect(await upload(from, to)).toMatchObject([
        {path: to, bytes: size, complete: true, sha256: sha256(bytes)},
      ])
      expect(readFileSync(to).equals(bytes)).toBe(true)
    }
  })

  it('by scp between two hosts, on both of which it is a file', async () => {
    const [from, to] = [join(there, 'one'), join(there, 'other')]
    writeFileSync(from, randomBytes(200_001))
    const hash = sha256(readFileSync(from))
    const events = await scp('-3', remote(from), remote(to))
    const whole = {complete: true, sha256: hash}
    expect(named(events, 'sftp.read')).toMatchObject([{path: from, ...whole}])
    expect(named(events, 'sftp.write')).toMatchObject([{path: to, ...whole}])
  })

  it('is not, where they add to what is there', async () => {
    const from = join(here, 'long')
    writeFileSync(from, randomBytes(100_000))
    for (const command of ['put -a', 'reput']) {
      const to = join(there, command.replace(/\W/g, ''))
      writeFileSync(to, readFileSync(from).subarray(0, 40_000))
      expect(await sftp(`${command} ${from} ${to}`)).toMatchObject([
        {path: to, bytes: 60_000, complete: false, sha256_absent: 'appended'},
      ])
      expect(readFileSync(to).equals(readFileSync(from))).toBe(true)
    }
    expect(await sftp(`cp ${there}/reput ${there}/copied`)).toMatchObject([
      {event: 'sftp.read', complete: false},
      {event: 'sftp.write', complete: false, copied_from: join(there, 'reput')},
    ])
  })
})

describe('what they download', () => {
  it('is complete where they have all of it, and not where they go on with it', async () => {
    const from = join(there, 'down')
    writeFileSync(from, randomBytes(300_000))
    const whole = {complete: true, bytes: 300_000, sha256: sha256(readFileSync(from))}
    expect(await sftp(`get ${from} ${here}/got`)).toMatchObject([whole])
    expect(await scp(remote(from), join(here, 'copied'))).toMatchObject([whole])
    writeFileSync(join(here, 'part'), readFileSync(from).subarray(0, 40_000))
    expect(await sftp(`reget ${from} ${here}/part`)).toMatchObject([
      {complete: false, bytes: 260_000, sha256_absent: 'not from the start'},
    ])
  })
})

const {write, create, truncate, exclusive, read} = flags
const text = Buffer.from('seven b')

describe('a client that lies', () => {
  type Play = (client: RawSftp, path: string) => Promise<unknown>
  const then =
    (flag: number, more: (handle: string, path: string) => Passage[]): Play =>
    async (client, path) => {
      const handle = await client.open(packets.open(1, path, flag))
      await client.ask(...more(handle, path))
      await client.ask(packets.close(99, handle))
    }
  it.each<[string, Play, boolean]>([
    ['writes to an empty file', then(write | create | truncate, h => [packets.write(2, h, 0, text)]), true],
    ['writes over a large one', then(write, h => [packets.write(2, h, 0, text)]), false],
    ['writes over what it makes', then(write | create, h => [packets.write(2, h, 0, text)]), false],
    ['pretends that it is new', then(write | exclusive, h => [packets.write(2, h, 0, text)]), false],
    [
      'cuts it',
      then(write | create | truncate, h => [packets.write(2, h, 0, text), packets.fsetstat(3, h, {size: 2})]),
      false,
    ],
    [
      'draws it out',
      then(write | create | truncate, h => [
        packets.write(2, h, 0, text),
        packets.fsetstat(3, h, {size: 1e6}),
      ]),
      false,
    ],
    [
      'cuts it by its path',
      then(write | create | truncate, (h, path) => [
        packets.write(2, h, 0, text),
        packets.setstat(3, path, {size: 2}),
      ]),
      false,
    ],
    [
      'puts another in its place',
      then(write | create | truncate, (h, path) => [
        packets.write(2, h, 0, text),
        packets.extended(3, 'posix-rename@openssh.com', `${path}.other`, path),
      ]),
      false,
    ],
    [
      'copies to it',
      async (client, path) => {
        const from = await client.open(packets.open(1, `${path}.other`, read))
        const to = await client.open(packets.open(2, path, write | create | truncate))
        await client.ask(packets.write(3, to, 0, text), packets.copyData(4, from, to), packets.close(5, to))
      },
      false,
    ],
    [
      'opens it twice',
      async (client, path) => {
        const one = await client.open(packets.open(1, path, write | create | truncate))
        await client.ask(packets.write(2, one, 0, text))
        const two = await client.open(packets.open(3, path, write))
        await client.ask(
          packets.write(4, two, 0, Buffer.from('x')),
          packets.close(5, two),
          packets.close(6, one),
        )
      },
      false,
    ],
  ])('and %s', async (name, play, isWhole) => {
    const path = join(there, name.replace(/\W/g, '-'))
    for (const one of [path, `${path}.other`]) writeFileSync(one, randomBytes(5000))
    const {events} = await field.during(async () => {
      const client = await raw()
      await play(client, path)
      await client.end()
    })
    const told = named(events, 'sftp.write').filter(event => event.path === path)
    expect(told.length).toBeGreaterThan(0)
    expect(named(events, 'session.transfer.lost')).toEqual([])
    // The file itself is the judge.
    const held = sha256(readFileSync(path))
    expect(held === sha256(text)).toBe(isWhole)
    for (const event of told)
      expect([event.complete, event.sha256]).toEqual(isWhole ? [true, held] : [false, undefined])
  })

  it.each([
    ['best_effort', () => joe],
    ['strict', () => ann],
  ])(
    'and hides a file behind ten thousand failures: %s',
    async (mode, key) => {
      const secret = join(there, 'shadow')
      writeFileSync(secret, 'root:*:1::\n')
      const noise = 10_001
      const {events} = await field.during(async () => {
        const client = await raw(key())
        for (let at = 0; at < noise; at += 500) {
          const count = Math.min(500, noise - at)
          await client.ask(...Array.from({length: count}, (_, i) => packets.path(13, at + i + 10, '/none')))
        }
        const handle = await client.open(packets.open(1, secret, read))
        await client.ask(packets.read(2, handle, 0, 999), packets.read(3, handle, 11, 999))
        await client.ask(packets.close(4, handle))
        await client.end()
      })
      expect(named(events, 'sftp.read')).toMatchObject([
        {path: secret, complete: true, sha256: sha256(readFileSync(secret))},
      ])
      const [summary] = named(events, 'sftp.summary')
      expect(named(events, 'sftp.remove')).toHaveLength(mode === 'strict' ? noise : 10_000)
      expect(summary?.not_listed).toEqual(mode === 'strict' ? undefined : {'sftp.remove': 1})
    },
    120_000,
  )

  it('and does not wait to hear what came of it', async () => {
    const [made, gone] = [join(there, 'made-and-gone'), join(there, 'gone')]
    writeFileSync(gone, 'x')
    const before = field.events().length
    const client = await raw()
    const requests = [packets.open(1, made, write | create | truncate), packets.path(13, 2, gone)]
    client.say(Buffer.concat(requests.map(([, bytes]) => bytes)))
    await eventually(() => existsSync(made) && !existsSync(gone), 'the host has done it')
    client.kill()
    const paths = (): unknown[] =>
      field
        .events()
        .slice(before)
        .map(({path}) => path)
    await eventually(() => [made, gone].every(path => paths().includes(path)), 'both are on record')
  })
})
