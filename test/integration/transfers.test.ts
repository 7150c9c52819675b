import {createHash, randomBytes} from 'node:crypto'
import {createReadStream, mkdirSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {pipeline} from 'node:stream/promises'
import {gunzipSync} from 'node:zlib'
import {beforeAll, describe, expect, it} from 'vitest'
import {eventually} from '../support/eventually.js'
import {
  type Event,
  type Field,
  login,
  peakMemory,
  type Shell,
  shellOf,
  sshText,
  startFieldWithTarget,
} from '../support/field.js'
import {run, start} from '../support/process.js'
import type {Sshd} from '../support/sshd.js'

/** Every file that stock programs move through the recording proxy is on record, and its content is not. */
let field: Field
let target: Sshd
let shell: Shell
let there: string
let here: string

beforeAll(async () => {
  const place = await startFieldWithTarget()
  ;({field, target} = place)
  shell = shellOf(field, place.key, target)
  there = join(field.directory, 'there')
  here = join(field.directory, 'here')
  for (const directory of [there, here]) mkdirSync(directory)
})

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')
const named = (events: readonly Event[], ...names: string[]): Event[] =>
  events.filter(({event}) => names.includes(event))
const remote = (path: string): string => `${login}@127.0.0.1:${path}`

/** Runs a program to its end and gives the events that it made. */
async function during(program: string, args: string[], code = 0): Promise<Event[]> {
  const {result, events} = await field.during(() => run(program, args, {env: shell.env, deadline: 120_000}))
  expect([result.code, code === 0 ? result.stderr : '']).toEqual([code, ''])
  return events
}
const scp = (args: string[], code?: number) =>
  during('scp', ['-q', ...shell.through, '-P', String(target.port), ...args], code)
function sftpWords(batch: string): string[] {
  const script = join(field.directory, 'batch')
  writeFileSync(script, batch)
  return ['-q', '-b', script, ...shell.through, '-P', String(target.port), remote('').slice(0, -1)]
}
const sftp = (batch: string) => during('sftp', sftpWords(batch))
const runSftp = (batch: string) => run('sftp', sftpWords(batch), {env: shell.env})

/** What was recorded of the session, uncompressed. */
function recorded(sid: unknown): string {
  const file = field.recordings().find(recording => recording.sid === sid)
  if (!file) throw new Error(`no recording of ${String(sid)}`)
  return gunzipSync(readFileSync(file.path)).toString('utf8')
}

/** A file of random bytes, with a name. */
function file(name: string | Buffer, size = 300_007): {path: string; bytes: Buffer; hash: string} {
  const bytes = randomBytes(size)
  const path = Buffer.concat([Buffer.from(`${here}/`), Buffer.from(name)])
  writeFileSync(path, bytes)
  return {path: path.toString(), bytes, hash: sha256(bytes)}
}

describe('scp', () => {
  it.each([
    ['sftp', [], 'sftp.write', 'sftp.read', 'TS004I', 'TS003I'],
    ['scp', ['-O'], 'scp.upload', 'scp.download', 'T3005I', 'T3004I'],
  ] as const)(
    'by the protocol of %s leaves one event a file',
    async (_, flags, up, down, upCode, downCode) => {
      const {path, bytes, hash} = file('a-file')
      const to = join(there, `a-file-${up}`)
      const uploaded = await scp([...flags, '-p', path, remote(to)])
      const common = {user: 'joe', login, path: to, bytes: bytes.length, sha256: hash, complete: true}
      expect(named(uploaded, up, down)).toMatchObject([{...common, direction: 'upload', code: upCode}])
      const downloaded = await scp([...flags, remote(to), join(here, 'back')])
      expect(named(downloaded, up, down)).toMatchObject([{...common, direction: 'download', code: downCode}])
      expect(readFileSync(join(here, 'back')).equals(bytes)).toBe(true)
      expect(named([...uploaded, ...downloaded], 'session.transfer.lost')).toEqual([])
    },
  )

  it.each([
    ['sftp', []],
    ['scp', ['-O']],
  ])('copies directories by the protocol of %s', async (name, flags) => {
    const tree = join(here, `tree-${name}`)
    mkdirSync(join(tree, 'sub'), {recursive: true})
    writeFileSync(join(tree, 'one'), 'one')
    writeFileSync(join(tree, 'sub', 'two'), 'two')
    writeFileSync(join(tree, 'sub', 'empty'), '')
    const up = await scp([...flags, '-r', tree, remote(there)])
    const files = (events: Event[]) =>
      named(events, 'sftp.write', 'sftp.read', 'scp.upload', 'scp.download')
        .map(event => [(event.name ?? event.path) as string, event.bytes, event.complete, event.sha256])
        .sort()
    const expected = (['one', 'sub/empty', 'sub/two'] as const).map(path => {
      const content = path === 'sub/empty' ? '' : path.slice(-3)
      const full = flags.length > 0 ? `tree-${name}/${path}` : join(there, `tree-${name}`, path)
      return [full, content.length, true, sha256(Buffer.from(content))]
    })
    expect(files(up)).toEqual(expected)
    const down = await scp([...flags, '-r', remote(join(there, `tree-${name}`)), join(here, `back-${name}`)])
    expect(files(down)).toEqual(expected)
  })

  it('leaves a recording without content, and with a marker', async () => {
    const {path, bytes} = file('marked', 2_000_000)
    writeFileSync(path, Buffer.alloc(bytes.length, 'needle in the content\n'))
    const events = await scp(['-O', path, remote(there)])
    const back = await scp(['-O', remote(join(there, 'marked')), join(here, 'marked-back')])
    for (const all of [events, back]) {
      const [end] = named(all, 'session.end')
      const order = all.filter(({sid}) => sid === end?.sid).map(({event}) => event)
      expect(order.slice(-5)).toEqual([
        all === back ? 'scp.download' : 'scp.upload',
        'session.upload',
        'exec',
        'session.data',
        'session.end',
      ])
      const recording = recorded(end?.sid)
      expect(recording).toContain(': 2000000 bytes, complete, sha256 ')
      expect(recording).not.toContain('needle')
      expect(recording.length).toBeLessThan(3000)
      const [data] = named(all, 'session.data')
      expect(Number(data?.[all === back ? 'tx' : 'rx'])).toBeGreaterThan(2_000_000)
    }
  })

  it('tells of files that are not there', async () => {
    for (const flags of [[], ['-O']]) {
      const events = await scp([...flags, remote(join(there, 'nowhere')), here], 1)
      const [event] = named(events, 'scp.download', 'sftp.open')
      // By SFTP the client looks first, and does not even try.
      if (flags.length > 0)
        expect(event).toMatchObject({success: false, code: 'T3004E', path: join(there, 'nowhere')})
      else expect(named(events, 'sftp.summary')).toMatchObject([{files_read: 0}])
    }
  })
})

describe('sftp', () => {
  it('leaves an event for all that it does, and a summary', async () => {
    const {path, bytes, hash} = file('batch', 100_000)
    const events = await sftp(
      [
        `put ${path} ${there}/put`,
        `get ${there}/put ${here}/got`,
        `rename ${there}/put ${there}/renamed`,
        `ln -s renamed ${there}/link`,
        `ln ${there}/renamed ${there}/hard`,
        `chmod 600 ${there}/renamed`,
        `mkdir ${there}/made`,
        `ls -l ${there}`,
        `rmdir ${there}/made`,
        `rm ${there}/hard`,
        '',
      ].join('\n'),
    )
    const sids = new Set(events.flatMap(({sid}) => (sid === undefined ? [] : [sid])))
    expect(sids.size).toBe(1)
    const told = events.filter(({event}) => event.startsWith('sftp.') && event !== 'sftp.opendir')
    expect(told.map(({event}) => event)).toEqual([
      'sftp.write',
      'sftp.read',
      'sftp.rename',
      'sftp.symlink',
      'sftp.link',
      'sftp.setstat',
      'sftp.mkdir',
      'sftp.rmdir',
      'sftp.remove',
      'sftp.summary',
    ])
    expect(told).toMatchObject([
      {path: `${there}/put`, direction: 'upload', bytes: bytes.length, sha256: hash, complete: true},
      {path: `${there}/put`, direction: 'download', bytes: bytes.length, sha256: hash, complete: true},
      {path: `${there}/put`, target: `${there}/renamed`, code: 'TS016I'},
      {path: `${there}/link`, target: 'renamed', code: 'TS018I'},
      {path: `${there}/hard`, target: `${there}/renamed`, code: 'TS019I'},
      {path: `${there}/renamed`, attributes: {permissions: '0600'}, code: 'TS007I'},
      {path: `${there}/made`, code: 'TS012I'},
      {path: `${there}/made`, code: 'TS013I'},
      {path: `${there}/hard`, code: 'TS011I'},
      {
        ...{code: 'TS021I', files_read: 1, files_written: 1, bytes_read: 100_000, bytes_written: 100_000},
        failed: 0,
      },
    ])
    expect(named(events, 'sftp.opendir').some(({path}) => path === `${there}/`)).toBe(true)
  })

  it('keeps to one event for the listing of a large directory', async () => {
    const large = join(there, 'many')
    mkdirSync(large)
    for (let i = 0; i < 3000; i++) writeFileSync(join(large, `file-${i}`), '')
    const events = await sftp(`ls -l ${large}\n`)
    expect(events.filter(({event}) => event.startsWith('sftp.')).map(({event}) => event)).toEqual([
      'sftp.opendir',
      'sftp.summary',
    ])
  })

  it('tells of what is refused', async () => {
    const batch = `-rm ${there}/nowhere\n-get ${there}/nowhere ${here}/x\n-put ${here}/batch /proc/nope\n`
    const {events} = await field.during(() => runSftp(batch))
    expect(named(events, 'sftp.remove', 'sftp.open')).toMatchObject([
      {event: 'sftp.remove', success: false, code: 'TS011E', path: `${there}/nowhere`, error: 'No such file'},
      {event: 'sftp.open', success: false, code: 'TS001E', path: '/proc/nope', direction: 'upload'},
    ])
  })

  it('keeps names of all kinds', async () => {
    const names = [
      'with space',
      'with\nline break',
      "it's",
      '"quoted"',
      'ünï',
      '-dash',
      'tab\there',
      '\u001b[2J',
    ]
    const odd = [...names.map(name => Buffer.from(name)), Buffer.from([0x66, 0xff, 0xfe])]
    const from = Buffer.from(`${there}/odd/`)
    mkdirSync(from)
    for (const name of odd) writeFileSync(Buffer.concat([from, name]), 'x')
    const events = named(await sftp(`get -r ${there}/odd ${here}/odd\n`), 'sftp.read')
    const seen = events.map(event =>
      typeof event.path_base64 === 'string'
        ? Buffer.from(event.path_base64, 'base64').toString('hex')
        : Buffer.from(String(event.path)).toString('hex'),
    )
    expect(seen.sort()).toEqual(odd.map(name => Buffer.concat([from, name]).toString('hex')).sort())
  })

  it('is followed where a command starts its server', async () => {
    const {path, hash} = file('by-exec', 50_000)
    const script = join(field.directory, 'exec-batch')
    writeFileSync(script, `put ${path} ${there}/by-exec\n`)
    const server = '/usr/lib/openssh/sftp-server'
    const events = await during('sftp', [
      ...['-q', '-b', script, ...shell.through, '-P', String(target.port)],
      ...['-s', `exec ${server}`, remote('').slice(0, -1)],
    ])
    // A path with a slash is a subsystem only by name: sftp asks for it by exec.
    expect(named(events, 'sftp.write')).toMatchObject([{path: `${there}/by-exec`, sha256: hash}])
    const order = events.map(({event}) => event)
    expect(order.indexOf('sftp.summary')).toBeLessThan(order.indexOf('session.end'))
    expect(named(events, 'session.start', 'session.end')).toHaveLength(2)
    expect(recorded(named(events, 'session.end')[0]?.sid)).toContain('sha256')
  })
})

describe('a transfer that does not end well', () => {
  it.each([[[]], [['-O']]])('is on record with what has passed: scp %j', async flags => {
    const from = join(there, `slow${flags.join('')}`)
    const to = join(here, `slow${flags.join('')}`)
    writeFileSync(from, Buffer.alloc(20_000_000))
    const before = field.events().length
    const child = start(
      'scp',
      [...flags, '-l', '4000', ...shell.through, '-P', String(target.port), remote(from), to],
      {env: shell.env},
    )
    await eventually(() => {
      try {
        return readFileSync(to).length > 100_000
      } catch {
        return false
      }
    }, 'some of the file arrives')
    child.kill('SIGKILL')
    const name = flags.length > 0 ? 'scp.download' : 'sftp.read'
    const event = await eventually(
      () => named(field.events().slice(before), name)[0],
      'the file is on record',
    )
    expect(event).toMatchObject({path: from, complete: false, direction: 'download'})
    expect(Number(event.bytes)).toBeGreaterThan(100_000)
    expect(Number(event.bytes)).toBeLessThan(20_000_000)
  })
})

describe('a large file', () => {
  it('of 300 MB has the hash that sha256sum gives, both ways, in little memory', async () => {
    const path = join(here, 'large')
    await run('sh', ['-c', `head -c 300000000 /dev/urandom > '${path}'`])
    const hash = createHash('sha256')
    await pipeline(createReadStream(path), hash)
    const sum = hash.digest('hex')
    const before = peakMemory(field.cluster.pid)
    for (const flags of [[], ['-O']]) {
      const to = join(there, `large${flags.join('')}`)
      const events = [
        ...(await scp([...flags, path, remote(to)])),
        ...(await scp([...flags, remote(to), join(here, 'large-back')])),
      ]
      expect(named(events, 'sftp.read', 'sftp.write', 'scp.upload', 'scp.download')).toMatchObject([
        {bytes: 300_000_000, complete: true, sha256: sum, direction: 'upload'},
        {bytes: 300_000_000, complete: true, sha256: sum, direction: 'download'},
      ])
    }
    expect(peakMemory(field.cluster.pid) - before).toBeLessThan(100)
  }, 300_000)
})

describe('a hostile client', () => {
  it.each([
    ['a giant packet', [0xff, 0xff, 0xff, 0xff, 3, 0, 0, 0, 1]],
    ['a giant handle', [0xff, 0xff, 0xff, 0xff, 6, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xf0]],
    ['an empty packet', [0, 0, 0, 0, 0]],
  ])('that sends %s is not followed, and on record', async (_, bytes) => {
    const before = peakMemory(field.cluster.pid)
    const {events} = await field.during(() =>
      run('ssh', [...shell.through, '-p', String(target.port), '-s', remote('').slice(0, -1), 'sftp'], {
        env: shell.env,
        input: Buffer.from([0, 0, 0, 5, 1, 0, 0, 0, 3, ...bytes]),
      }),
    )
    expect(named(events, 'session.transfer.lost', 'sftp.summary')).toMatchObject([
      {code: 'TSF00W', success: false, protocol: 'sftp', user: 'joe'},
      {files_read: 0, files_written: 0},
    ])
    expect(peakMemory(field.cluster.pid) - before).toBeLessThan(50)
  })
})

describe('rsync', () => {
  it('is noted, and recorded like any command', async () => {
    const {result, events} = await field.during(() =>
      sshText(
        [
          ...[...shell.through, '-p', String(target.port), `${login}@127.0.0.1`],
          'rsync --server --sender -vlogDtpr . /etc/hostname',
        ],
        {env: shell.env, input: ''},
      ),
    )
    expect(result.code).not.toBe(0)
    expect(named(events, 'rsync.download')).toMatchObject([
      {code: 'TRS00I', direction: 'download', paths: ['/etc/hostname']},
    ])
    expect(named(events, 'session.start', 'session.end')).toHaveLength(2)
  })
})

describe('what only looks like a transfer', () => {
  it('is recorded from where it stops looking so', async () => {
    const tools = join(field.directory, 'tools')
    mkdirSync(tools)
    writeFileSync(join(tools, 'scp'), '#!/bin/sh\nprintf "C0644 5 x\\nhello"; echo; echo a secret shell\n', {
      mode: 0o755,
    })
    const path = `${tools}:${process.env.PATH}`
    const {events} = await field.during(() =>
      sshText(
        [
          ...shell.through,
          '-p',
          String(target.port),
          `${login}@127.0.0.1`,
          `export PATH="${path}"; scp -f x`,
        ],
        {env: shell.env},
      ),
    )
    // Several commands are no transfer: all of it is recorded.
    const [end] = named(events, 'session.end')
    expect(recorded(end?.sid)).toContain('a secret shell')
    expect(recorded(end?.sid)).toContain('hello')
  })
})
