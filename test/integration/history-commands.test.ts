import {generateKeyPairSync} from 'node:crypto'
import {once} from 'node:events'
import {cpSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync} from 'node:fs'
import {createServer} from 'node:net'
import {join} from 'node:path'
import {createInterface} from 'node:readline'
import {gunzipSync} from 'node:zlib'
import {beforeAll, describe, expect, it} from 'vitest'
import {type AuditLog, openAuditLog} from '../../src/lib/audit/index.js'
import type {AuthApi} from '../../src/lib/auth/contract.js'
import {createApiServer} from '../../src/lib/auth/http/server.js'
import {problem} from '../../src/lib/errors/index.js'
import {
  createRecordingWriter,
  openRecordingStore,
  type RecordingStore,
  signRecordingHead,
} from '../../src/lib/recording/index.js'
import {formatAuthorizedKey, publicKeyBlob} from '../../src/lib/sshcert/index.js'
import {atEnd} from '../support/cleanup.js'
import {type RunOptions, run, start} from '../support/process.js'
import {sallyportPath} from '../support/service.js'
import {temporaryDirectory} from '../support/temporary-directory.js'
import {meta, record} from '../unit/recording/support.js'

const ESC = '\u001b'
const keys = generateKeyPairSync('ed25519')
const keyLine = `${formatAuthorizedKey(publicKeyBlob(keys.publicKey))} clustername=c1&type=recording\n`
const invalid = Buffer.from([0x61, 0xff, 0x00, 0x0a])

let dataDir: string
let store: RecordingStore
let audit: AuditLog
let sid: string
let live: string

/** The real store and log behind the real API server on a real admin socket. */
beforeAll(async () => {
  dataDir = temporaryDirectory()
  store = await openRecordingStore({
    directory: join(dataDir, 'recordings'),
    now: () => Date.parse('2025-11-21T12:00:00Z'),
    signHead: (id, head) => signRecordingHead(keys.privateKey, id, head),
  })
  audit = await openAuditLog({directory: join(dataDir, 'audit'), clusterName: 'c1'})
  const api: Partial<AuthApi> = {
    listRecordings: ({from, to, ...rest}) =>
      store.list({...rest, ...(from && {from: from.getTime()}), ...(to && {to: to.getTime()})}),
    searchRecordings: ({regex = false, ignoreCase = false, from, to, ...rest}) =>
      store.search({...rest, regex, ignoreCase}),
    openRecording: id => store.open(id),
    listEvents: query => audit.query(query),
    exportAuthorities: async ({type}) => {
      if (type !== 'recording') throw problem('invalid_input', 'only recording here')
      return keyLine
    },
  }
  const server = createApiServer({as: () => api as AuthApi}, {error: () => {}})
  const listener = createServer(socket => server.attach(socket, {kind: 'admin'}))
  await new Promise<void>(resolve => listener.listen(join(dataDir, 'admin.sock'), resolve))
  atEnd(async () => {
    server.close()
    listener.close()
    await audit.close()
  })
  sid = await record(
    store,
    async (writer, wait) => {
      writer.output(Buffer.from(`${ESC}]0;owned\u0007${ESC}[31mred ünï${ESC}[0m\r\n`))
      wait(200)
      await writer.flush()
      writer.output(invalid)
      writer.output(Buffer.from('oops\r\n'), 'stderr')
      writer.resize(100, 30)
      writer.marker('m1')
      wait(100)
    },
    {command: `evil ${ESC}[2J`, interactive: false},
  )
  const running = meta({startedAt: Date.parse('2025-11-21T13:00:00Z'), user: 'ann', host: 'db1'})
  live = running.sid
  const writer = createRecordingWriter({meta: running, sink: store, now: () => 0})
  writer.output(Buffer.from('still here\r\n'))
  await writer.flush()
  for (const event of ['session.start', 'session.end'] as const)
    await audit.emit({event, user: 'joe', sid, fields: {command: 'ls', exit_code: 3}})
  await audit.emit({event: 'user.login', success: false, user: 'ann', error: 'wrong password'})
})

async function sallyport(args: string[], options: RunOptions = {}) {
  const env = {SALLYPORT_HOME: join(dataDir, 'home'), NO_COLOR: '1'}
  const {code, stdout, stderr} = await run(process.execPath, [sallyportPath, ...args], {
    ...options,
    env,
  })
  return {code, stderr, bytes: stdout, stdout: stdout.toString('utf8')}
}
const admin = (...args: string[]) => sallyport([...args, `--data-dir=${dataDir}`])
const file = () => join(dataDir, 'recordings', '2025-11-21', `${sid}.cast.gz`)

describe('recordings ls', () => {
  it('prints an array of objects with every key', async () => {
    const {code, stdout} = await admin('recordings', 'ls', '--format', 'json')
    expect(code).toBe(0)
    const [newest, sealed] = JSON.parse(stdout)
    expect(newest).toMatchObject({
      sid: live,
      user: 'ann',
      state: 'live',
      end: null,
      interactive: true,
      command: null,
    })
    expect(sealed).toEqual({
      sid,
      user: 'joe',
      login: 'root',
      host: 'web1',
      address: '10.0.0.7:22',
      cluster: 'c1',
      start: '2025-11-21T12:00:00.000Z',
      end: '2025-11-21T12:00:00.300Z',
      duration_ms: 300,
      interactive: false,
      command: `evil ${ESC}[2J`,
      state: 'sealed',
      bytes: statSync(file()).size,
      hold: null,
    })
  })

  it('prints a table without control characters, and filters', async () => {
    const {stdout} = await admin('recordings', 'ls')
    expect(stdout).toContain(sid)
    expect(stdout).toContain('evil \\x1b[2J')
    expect((await admin('recordings', 'ls', '--user', 'ann', '--format', 'json')).stdout).not.toContain(sid)
    expect((await admin('recordings', 'ls', '--host', 'nowhere', '--format', 'json')).stdout).toBe('[]\n')
    expect((await admin('recordings', 'ls', '--host', 'web1', '--format', 'json')).stdout).toContain(sid)
    expect((await admin('recordings', 'ls', '--format', 'yaml')).stdout).toMatch(/^- sid: /)
  })

  it('keeps to a login and a time, and goes on page by page', async () => {
    const list = async (...args: string[]) => {
      const {stdout} = await admin('recordings', 'ls', '--format', 'json', ...args)
      return JSON.parse(stdout).map((found: {sid: string}) => found.sid)
    }
    expect(await list('--login', 'nobody')).toEqual([])
    expect(await list('--from', '2025-11-21T12:30:00Z')).toEqual([live])
    expect(await list('--to', '2025-11-21T12:30:00Z', '--login', 'root')).toEqual([sid])
    expect(await list('--last', '1h')).toEqual([])
    const page = await admin('recordings', 'ls', '--limit', '1')
    expect(page.stdout).not.toContain(sid)
    expect(page.stderr).toBe(`sallyport: there may be more; go on with --after ${live}\n`)
    for (const format of ['json', 'yaml'])
      expect((await admin('recordings', 'ls', '--limit', '1', '--format', format)).stderr).toBe(page.stderr)
    expect(await list('--limit', '1', '--after', live.toUpperCase())).toEqual([sid])
    expect(await list('--limit', '1', '--after', sid)).toEqual([])
    expect((await admin('recordings', 'ls', '--user', 'joe', '--after', live)).code).toBe(34)
    expect((await admin('recordings', 'ls', '--from', 'x')).code).toBe(2)
  })
})

describe('play', () => {
  it('plays without a terminal on stdin, and leaves out what reaches beyond the screen', async () => {
    const {code, stdout, stderr} = await admin('play', sid, '--speed', '50')
    expect({code, stderr}).toEqual({code: 0, stderr: ''})
    expect(stdout).toBe(`${ESC}[31mred ünï${ESC}[0m\r\na\ufffd\noops\r\n${ESC}[0m`)
  })

  it('prints the text, the exact bytes, and one record an event', async () => {
    expect((await admin('play', sid, '--format', 'text')).stdout).toBe('red ünï\na\ufffd\noops\n')
    const raw = Buffer.concat([Buffer.from(`${ESC}]0;owned\u0007${ESC}[31mred ünï${ESC}[0m\r\n`), invalid])
    expect((await admin('play', sid, '--format', 'raw')).bytes).toEqual(
      Buffer.concat([raw, Buffer.from('oops\r\n')]),
    )
    expect((await admin('play', sid, '--format', 'raw', '--stream', 'stdout')).bytes).toEqual(raw)
    const {stdout} = await admin('play', sid, '--format', 'json')
    const records = stdout
      .trimEnd()
      .split('\n')
      .map(line => JSON.parse(line))
    expect(records[0]).toMatchObject({type: 'header', width: 80, session: {sid, user: 'joe'}})
    expect(records.slice(2)).toEqual([
      {type: 'output', ms: 200, stream: 'stdout', text: 'a\ufffd\n', bytes: invalid.toString('base64')},
      {type: 'output', ms: 200, stream: 'stderr', text: 'oops\r\n'},
      {type: 'resize', ms: 200, columns: 100, rows: 30},
      {type: 'marker', ms: 200, label: 'm1'},
      {type: 'end', state: 'sealed'},
    ])
  })

  it('plays a file, and says when it is cut', async () => {
    expect((await sallyport(['play', file(), '--format', 'text'])).stdout).toContain('oops')
    const cut = join(temporaryDirectory(), 'cut.cast.gz')
    writeFileSync(cut, readFileSync(file()).subarray(0, -200))
    const {code, stdout, stderr} = await sallyport(['play', cut, '--idle-limit=0.1'])
    expect(stdout).toContain('red')
    expect([code, stderr]).toEqual([40, expect.stringContaining('cut off')])
  })

  it('refuses what is neither a session nor a file, and nonsense for a number', async () => {
    expect((await sallyport(['play', '/nowhere/x'])).code).toBe(34)
    expect((await admin('play', '00000000-0000-4000-8000-000000000000')).code).toBe(34)
    expect((await admin('play', sid, '--speed', 'fast')).code).toBe(2)
    expect((await admin('play', sid, '--idle-limit=-1')).code).toBe(2)
  })

  it('keeps to one limit for idle time', async () => {
    const both = await admin('play', sid, '--skip-idle-time', '--idle-limit', '2')
    expect([both.code, both.stderr]).toEqual([2, expect.stringContaining('--idle-limit')])
    expect((await admin('play', sid, '--skip-idle-time', '--speed', '50')).code).toBe(0)
  })

  it('obeys keys on a terminal, and puts it back', async () => {
    const out = temporaryDirectory()
    const slow = join(out, 'slow.cast')
    writeFileSync(
      slow,
      '{"version":2,"width":80,"height":24}\n[0,"o","\\u001b[?25lshown"]\n[3600,"o","never"]\n',
    )
    const command = `${process.execPath} ${sallyportPath} play ${slow}`
    const script = `stty -a > ${out}/before; ${command}; stty -a > ${out}/after`
    const child = start('script', ['-qec', script, '/dev/null'])
    let shown = ''
    child.stdout.on('data', (data: Buffer) => {
      // An hour of waiting ends at the key.
      if (!shown.includes('shown') && data.includes('shown')) child.stdin.write('q')
      shown += data.toString()
    })
    await once(child, 'close')
    expect(shown).toContain(`${ESC}[?25lshown${ESC}[?25h`)
    expect(shown).not.toContain('never')
    expect(readFileSync(join(out, 'after'), 'utf8')).toBe(readFileSync(join(out, 'before'), 'utf8'))
  })
})

describe('recordings search', () => {
  it('prints where it was, and playing begins there', async () => {
    await admin('recordings', 'search', 'anything')
    await store.indexed()
    const {code, stdout, stderr} = await admin('recordings', 'search', 'red ünï')
    expect([code, stderr]).toEqual([
      0,
      'sallyport: 1 session not searched: still running, or not read yet; try again in a while\n',
    ])
    expect(stdout).toMatch(new RegExp(`${sid} .* 0:00 .* red ünï$`, 'm'))
    const json = await admin(
      'recordings',
      'search',
      'OOPS',
      '--ignore-case',
      '--user',
      'joe',
      '--format',
      'json',
    )
    expect(JSON.parse(json.stdout)).toEqual({
      hits: [
        {
          ...{sid, user: 'joe', login: 'root', host: 'web1', start: '2025-11-21T12:00:00.000Z'},
          ...{at_ms: 200, line: 'oops'},
        },
      ],
      ...{more: false, cut: [], next: null, waiting: 0, partly: 0},
    })
    const played = await admin('play', sid, '--at', '0:00.2')
    expect(played.stdout).toContain('oops')
  })

  it('says that nothing was found, and refuses nonsense', async () => {
    expect((await admin('recordings', 'search', 'never there', '--host', 'web1')).stdout).toBe(
      'It was on no screen that you may see.\n',
    )
    expect((await admin('recordings', 'search', '(', '--regex')).code).toBe(35)
    const cut = await admin('recordings', 'search', '.', '--regex', '--sid', sid.toUpperCase(), '--limit=1')
    expect(cut.stderr).toBe('sallyport: only its first line is shown: raise --limit, or ask for less\n')
    const wide = await admin('recordings', 'search', '.', '--regex', '--user', 'joe', '--limit=1')
    expect(wide.stderr).toBe(
      `sallyport: of 1 session only the first lines are shown; see more with --sid ${sid}\n`,
    )
    expect((await admin('recordings', 'search', 'x', '--sid', sid, '--after', sid)).code).toBe(2)
    expect((await admin('play', sid, '--at', 'noon')).code).toBe(2)
    expect((await admin('play', sid, '--at', '1:00', '--format', 'text')).code).toBe(2)
  })
})

describe('recordings export', () => {
  it('writes asciicast lines, or the chunks as they are, and no file twice', async () => {
    const out = temporaryDirectory()
    const path = join(out, 'x.cast')
    expect((await admin('recordings', 'export', sid, '--out', path)).code).toBe(0)
    expect(readFileSync(path)).toEqual(gunzipSync(readFileSync(file())))
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect((await admin('recordings', 'export', sid, '--out', path)).code).toBe(33)
    expect(
      (await admin('recordings', 'export', sid, '--out', path, '--overwrite', '--format', 'text')).code,
    ).toBe(0)
    expect(readFileSync(path, 'utf8')).toBe('red ünï\na\ufffd\noops\n')
    expect((await admin('recordings', 'export', sid, '--out', `${path}.gz`)).code).toBe(0)
    expect(readFileSync(`${path}.gz`)).toEqual(readFileSync(file()))
    const {code, stderr} = await admin('recordings', 'export', sid, '--out', join(out, 'no', 'x'))
    expect([code, stderr]).toEqual([36, expect.stringContaining('directory does not exist')])
  })

  it('writes an asciicast of version 3 that ends with the exit code', async () => {
    const {code, stdout, stderr} = await admin('recordings', 'export', sid, '--format', 'cast3')
    expect([code, stderr]).toEqual([0, ''])
    const [header, ...events] = stdout
      .trimEnd()
      .split('\n')
      .map(line => JSON.parse(line))
    expect(header).toMatchObject({version: 3, term: {cols: 80, rows: 24}, sallyport: {sid}})
    expect(events.map(([interval, eventCode]) => [interval, eventCode])).toEqual([
      [0, 'o'],
      [0.2, 'o'],
      [0, 'o'],
      [0, 'r'],
      [0, 'm'],
      [0.1, 'x'],
    ])
    expect(events.at(-1)).toEqual([0.1, 'x', '3'])
  })

  it('writes a page that holds its player and nothing that reaches beyond the screen', async () => {
    const path = join(temporaryDirectory(), 'x.html')
    const {code, stderr} = await admin('recordings', 'export', sid, '--format', 'html', '--out', path)
    expect([code, stderr]).toEqual([0, ''])
    expect(statSync(path).mode & 0o777).toBe(0o600)
    const page = readFileSync(path, 'utf8')
    expect(page.includes('AsciinemaPlayer')).toBe(true)
    expect(page.includes('red ünï')).toBe(true)
    expect(page.includes(';owned')).toBe(false)
    expect(/(src|href)=["']?http/.test(page)).toBe(false)
  })

  it.each(['cast', 'cast3', 'text', 'html', 'raw'])(
    'says of %s that the session still runs',
    async format => {
      const {code, stderr} = await admin('recordings', 'export', live, '--format', format)
      expect([code, stderr]).toEqual([
        0,
        'sallyport: the session still runs: this is what was recorded of it until now\n',
      ])
    },
  )

  it.each(['cast', 'cast.gz', 'cast3', 'text', 'html', 'raw'])(
    'writes what there is of a %s that was cut, and ends with an error',
    async format => {
      const cut = await record(store, writer => {
        writer.output(Buffer.from('before the cut\r\n'))
      })
      const data = join(dataDir, 'recordings', '2025-11-21', `${cut}.cast.gz`)
      truncateSync(data, statSync(data).size - 20)
      const out = join(temporaryDirectory(), format)
      const args = ['--format', format.replace('.gz', ''), '--out', out]
      const {code, stderr} = await admin('recordings', 'export', cut, ...args)
      expect([code, stderr]).toEqual([40, expect.stringContaining('the recording is cut off')])
      if (format === 'cast.gz') expect(readFileSync(out)).toEqual(readFileSync(data))
      else expect(readFileSync(out, 'utf8')).toContain('before the cut')
      expect((await admin('play', cut, '--format', 'text')).code).toBe(40)
      rmSync(data)
      rmSync(data.replace('cast.gz', 'index.jsonl'))
    },
  )

  it('writes to a pipe', async () => {
    expect((await admin('recordings', 'export', sid, '--format', 'raw')).bytes.includes(invalid)).toBe(true)
  })
})

describe('recordings verify', () => {
  it('verifies a session, and a file without any service', async () => {
    const {code, stdout} = await admin('recordings', 'verify', sid)
    expect([code, stdout]).toEqual([
      0,
      `The recording of session ${sid} is what was recorded: 3 chunks, unbroken and signed.
The audit log, as far as you may see it, does not say how long it was: only its own signature speaks for it.
`,
    ])
    const out = temporaryDirectory()
    const key = join(out, 'recording.pub')
    const copy = join(out, 'evidence.cast.gz')
    writeFileSync(key, keyLine)
    writeFileSync(copy, readFileSync(file()))
    for (const path of [file(), copy])
      expect(
        (await sallyport(['recordings', 'verify', path, '--key', key, '--format', 'json'])).stdout,
      ).toContain('"verified"')
    expect((await sallyport(['recordings', 'verify', copy, '--key', key])).stdout).toContain(
      'Whether there were other recordings, now deleted, cannot be seen from one file.',
    )
    const bad = readFileSync(file())
    const {chunks} = await store.readIndex(sid)
    const at = (chunks[2]?.offset ?? 0) + 20
    bad[at] = (bad[at] ?? 0) ^ 1
    writeFileSync(copy, bad)
    const refused = await sallyport(['recordings', 'verify', copy, '--key', key])
    expect([refused.code, refused.stderr]).toEqual([40, expect.stringContaining('chunk 2')])
  })

  it('verifies a session in a copy without any service, and not the one that the service has', async () => {
    const out = temporaryDirectory()
    const [key, copy] = [join(out, 'recording.pub'), join(out, 'copy')]
    writeFileSync(key, keyLine)
    for (const part of ['audit', 'recordings'])
      cpSync(join(dataDir, part), join(copy, part), {recursive: true})
    const verify = (...more: string[]) =>
      sallyport(['recordings', 'verify', sid, '--directory', copy, '--key', key, ...more])
    const whole = await verify('--format', 'json')
    expect(whole.code).toBe(0)
    expect(JSON.parse(whole.stdout)).toMatchObject({
      result: 'verified',
      sid,
      vouched: false,
      audit: {ok: true},
    })
    expect((await verify()).stdout).toContain('no checkpoint was given')
    expect((await verify('--checkpoint', '/nonexistent')).code).toBe(35)
    const data = join(copy, 'recordings', '2025-11-21', `${sid}.cast.gz`)
    const bytes = readFileSync(data)
    bytes[bytes.length - 40] = (bytes.at(-40) ?? 0) ^ 1
    writeFileSync(data, bytes)
    const bad = await verify('--format', 'json')
    expect([bad.code, JSON.parse(bad.stdout)]).toEqual([
      40,
      expect.objectContaining({result: 'bad', problem: 'changed'}),
    ])
    expect(bad.stderr).toContain('recording_corrupt')
  })

  it.each([
    [['SID', '--checkpoint', '/nonexistent']],
    [['SID', '--index', '/nonexistent']],
    [['SID', '--all']],
    [['FILE', '--checkpoint', '/nonexistent']],
    [['FILE', '--directory', '/nonexistent']],
    [['--all', '--index', '/nonexistent']],
  ])('refuses flags that would change nothing: %j', async words => {
    const args = words.map(word => (word === 'SID' ? sid : word === 'FILE' ? file() : word))
    const {code, stdout, stderr} = await admin('recordings', 'verify', ...args)
    expect([code, stdout]).toEqual([2, ''])
    expect(stderr).toContain('has no effect here')
  })

  it('says how to do without a service where there is none', async () => {
    const {code, stderr} = await sallyport([
      'recordings',
      'verify',
      sid,
      `--data-dir=${temporaryDirectory()}`,
    ])
    expect([code, stderr]).toEqual([31, expect.stringContaining('--directory and --key')])
  })

  it('has a verdict on a recording whose index is damaged', async () => {
    const out = temporaryDirectory()
    const [key, copy] = [join(out, 'recording.pub'), join(out, `${sid}.cast.gz`)]
    writeFileSync(key, keyLine)
    writeFileSync(copy, readFileSync(file()))
    writeFileSync(join(out, `${sid}.index.jsonl`), '{"format":"sallyport-recording-index"}\n')
    const {code, stdout, stderr} = await sallyport([
      ...['recordings', 'verify', copy, '--key', key, '--format', 'json'],
    ])
    expect([code, stderr]).toEqual([40, expect.stringContaining('line 1')])
    expect(JSON.parse(stdout)).toMatchObject({result: 'bad', reason: expect.stringContaining('line 1')})
  })

  it('is not content with what nobody signed', async () => {
    const {code, stderr} = await admin('recordings', 'verify', live)
    expect([code, stderr]).toEqual([37, expect.stringContaining('nobody signed them')])
    expect(stderr).toContain('chunks missing at the end cannot be seen')
  })
})

describe('what is no session ID', () => {
  it.each([
    ['recordings', 'export', 'xx'],
    ['recordings', 'hold', 'xx'],
    ['recordings', 'release', 'xx'],
    ['recordings', 'rm', 'xx', '--yes'],
    ['recordings', 'ls', '--after', 'xx'],
    ['recordings', 'search', 'text', '--sid', 'xx'],
    ['sessions', 'end', 'xx'],
    ['audit', 'ls', '--sid', 'xx'],
  ])('is refused alike: %s %s %s', async (...words) => {
    const {code, stderr} = await admin(...words)
    expect([code, stderr]).toEqual([2, expect.stringContaining('"xx" is not a session ID')])
  })
})

describe('a full disk', () => {
  it.each(['audit export', 'audit ls --format json', 'recordings ls', 'recordings export SID --format raw'])(
    'is an error of %s to standard output',
    async words => {
      const line = [process.execPath, sallyportPath, ...words.replace('SID', sid).split(' ')].join(' ')
      const {code, stderr} = await run('sh', ['-c', `${line} --data-dir=${dataDir} > /dev/full`])
      expect([code, stderr]).toEqual([36, expect.stringContaining('the disk is full')])
    },
  )
})

describe('audit', () => {
  it('ls lists events, newest first, as a table and as JSON', async () => {
    const {stdout} = await admin('audit', 'ls', '--format', 'json')
    expect(JSON.parse(stdout).map((event: {event: string}) => event.event)).toEqual([
      'user.login',
      'session.end',
      'session.start',
    ])
    expect((await admin('audit', 'ls', '--event', 'user.login')).stdout).toContain('error=wrong password')
    expect(
      JSON.parse((await admin('audit', 'ls', '--sid', sid, '--last', '1h', '--format', 'json')).stdout),
    ).toHaveLength(2)
    expect((await admin('audit', 'ls', '--from', '2099-01-01')).stdout).toBe(
      'There are no such events that you may see.\n',
    )
    expect((await admin('audit', 'ls', '--from', 'yesterday')).code).toBe(2)
  })

  it('ls goes on page by page, shows what failed by itself, and knows which events there are', async () => {
    const page = async (...more: string[]) => await admin('audit', 'ls', '--limit', '2', ...more)
    const first = await page()
    expect(first.stderr).toContain('go on with --after 2')
    const seqs = async (...more: string[]) =>
      JSON.parse((await page('--format', 'json', ...more)).stdout).map(({seq}: {seq: number}) => seq)
    expect(await seqs()).toEqual([3, 2])
    expect(await seqs('--after', '2')).toEqual([1])
    expect(await seqs('--failed')).toEqual([3])
    expect(await seqs('--sid', sid.toUpperCase())).toEqual([2, 1])
    expect((await page('--follow', '--after', '2')).code).toBe(2)
    const {code, stdout, stderr} = await page('--event', 'session.stat')
    expect([code, stdout, stderr]).toEqual([2, '', expect.stringContaining('there is session.start')])
    expect((await admin('audit', 'export', '--event', 'session.stat')).code).toBe(2)
    await audit.emit({event: 'audit.signed'})
    expect(await seqs()).toEqual([3, 2])
    expect(await seqs('--event', 'audit.signed')).toEqual([4])
  })

  it('export gives the very lines of the log, oldest first, and no file twice', async () => {
    const [log = ''] = readdirSync(join(dataDir, 'audit')).filter(name => name.endsWith('.jsonl'))
    const lines = readFileSync(join(dataDir, 'audit', log), 'utf8')
    expect((await admin('audit', 'export')).stdout).toBe(lines)
    const path = join(temporaryDirectory(), 'audit.jsonl')
    expect((await admin('audit', 'export', '--user', 'ann', '--out', path)).code).toBe(0)
    expect(readFileSync(path, 'utf8')).toBe(`${lines.trimEnd().split('\n')[2]}\n`)
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect((await admin('audit', 'export', '--out', path)).code).toBe(33)
  })

  it('ls --follow prints the last ones, and then each as it happens, one object a line', async () => {
    const follower = start(
      process.execPath,
      [sallyportPath, 'audit', 'ls', '--follow', '--limit', '1', '--format', 'json', `--data-dir=${dataDir}`],
      {env: {SALLYPORT_HOME: join(dataDir, 'home')}},
    )
    const lines = createInterface({input: follower.stdout})[Symbol.asyncIterator]()
    expect(JSON.parse((await lines.next()).value)).toMatchObject({event: 'user.login', user: 'ann'})
    await audit.emit({event: 'user.login', user: 'zoe\u202e'})
    const {value} = await lines.next()
    follower.kill()
    expect(value).not.toContain('\u202e')
    expect(JSON.parse(value)).toMatchObject({user: 'zoe\u202e'})
    expect((await admin('audit', 'ls', '--follow', '--format', 'yaml')).code).toBe(2)
  })

  it('verify follows the chain, gives a checkpoint, and names the first bad record', async () => {
    const {code, stdout} = await admin('audit', 'verify', '--format', 'json')
    expect(code).toBe(0)
    const out = temporaryDirectory()
    const checkpoint = join(out, 'checkpoint.json')
    writeFileSync(checkpoint, stdout)
    expect((await admin('audit', 'verify', '--checkpoint', checkpoint)).stdout).toContain(
      'It holds the checkpoint.',
    )
    const name = `events-000000000001-${new Date().toISOString().slice(0, 10)}.jsonl`
    const text = readFileSync(join(dataDir, 'audit', name), 'utf8')
    writeFileSync(join(out, name), text.replace('session.end', 'session.END'))
    const bad = await sallyport(['audit', 'verify', '--directory', out])
    expect([bad.code, bad.stderr]).toEqual([41, expect.stringContaining('record 2')])
    writeFileSync(join(out, name), text.split('\n').slice(0, 2).join('\n').concat('\n'))
    const cut = await sallyport(['audit', 'verify', '--directory', out, '--checkpoint', checkpoint])
    expect([cut.code, cut.stderr]).toEqual([41, expect.stringContaining('checkpoint')])
    expect((await sallyport(['audit', 'verify', '--directory', '/nowhere'])).code).toBe(34)
    expect(
      (await sallyport(['audit', 'verify', '--directory', out, '--checkpoint', join(out, name)])).code,
    ).toBe(35)
  })
})
