import {createHash} from 'node:crypto'
import {once} from 'node:events'
import {existsSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {beforeAll, describe, expect, it} from 'vitest'
import {atEnd} from '../support/cleanup.js'
import {shareConnection} from '../support/control-master.js'
import {eventually} from '../support/eventually.js'
import {type Event, type Field, login, startFieldWithTarget} from '../support/field.js'
import {run, start} from '../support/process.js'
import type {Sshd} from '../support/sshd.js'

// What was on the wire toward the user is what the recording gives back, byte for byte.

let field: Field
let target: Sshd
let client: string[]

beforeAll(async () => {
  const place = await startFieldWithTarget()
  ;({field, target} = place)
  client = [...field.throughSubsystem(place.key), '-p', String(target.port)]
})

const where = (): string => `${login}@127.0.0.1`
const named = (events: readonly Event[], name: string) => events.filter(({event}) => event === name)

/** What the stock client got, and the session that it was. */
async function wire(command: string, more: readonly string[] = []) {
  const {result, events} = await field.during(() =>
    run('ssh', [...client, ...more, where(), command], {env: field.agent.env, deadline: 60_000}),
  )
  const [ended] = named(events, 'session.end')
  return {stdout: result.stdout, stderr: Buffer.from(result.stderr, 'utf8'), sid: String(ended?.sid)}
}

const played = async (sid: string, ...more: string[]): Promise<Buffer> => {
  const {code, bytes, stderr} = await field.cluster.admin(['play', sid, '--format=raw', ...more])
  expect([code, stderr]).toEqual([0, ''])
  return bytes
}

const exported = async (sid: string): Promise<Buffer> =>
  (await field.cluster.admin(['recordings', 'export', sid, '--format=raw'])).bytes

const digest = (bytes: Uint8Array): string =>
  `${bytes.length} bytes, ${createHash('sha256').update(bytes).digest('hex')}`

/** A file on the target with these bytes; its name for a shell. */
function given(name: string, bytes: Uint8Array): string {
  const path = join(field.directory, name)
  writeFileSync(path, bytes)
  return path
}

/** Bytes of every value in every neighbourhood, the same at each run. */
function noise(length: number): Buffer {
  const blocks: Buffer[] = []
  for (let block = 0; block * 32 < length; block += 1)
    blocks.push(createHash('sha256').update(String(block)).digest())
  return Buffer.concat(blocks).subarray(0, length)
}

const pieces = (wait: string, ...bytes: string[]): string =>
  bytes.map(octal => `printf '${octal}'`).join(`; sleep ${wait}; `)

describe('the bytes of a command without a terminal', () => {
  it.each([
    [
      'UTF-8 that comes in pieces',
      () => pieces('0.05', 'a\\303', '\\251b\\342', '\\202', '\\254\\360\\237', '\\230', '\\200c'),
    ],
    [
      'UTF-8 whose pieces are chunks apart',
      () => pieces('1.2', '\\342\\202', '\\254', '\\360', '\\237\\230\\200'),
    ],
    ['characters that never become whole', () => pieces('0.05', 'x\\303', 'y\\342\\202', 'z\\360\\237\\230')],
    ['a character that the end of the session cuts off', () => pieces('0.05', 'euro \\342\\202')],
    [
      'invalid UTF-8: overlong, surrogates, beyond the last',
      () => pieces('0.01', '\\300\\200\\355\\240\\200', '\\364\\220\\200\\200\\376\\377', '\\200\\277ok\\n'),
    ],
    [
      'every byte there is',
      () =>
        `cat ${given(
          'every',
          Uint8Array.from({length: 256}, (_, value) => value),
        )}`,
    ],
    ['NULs alone', () => 'head -c 300000 /dev/zero'],
    ['NULs among text, in pieces', () => pieces('0.05', 'a\\000b', '\\000', '\\000\\303', '\\251\\000')],
    ['the replacement character itself', () => pieces('0.05', '\\357\\277\\275', '\\357\\277', '\\275\\377')],
    ['two megabytes of noise', () => `cat ${given('noise', noise(2_000_000))}`],
    ['lines and escapes of a terminal', () => `cat ${given('escapes', Buffer.from(escapes))}`],
    ['nothing', () => 'true'],
  ])('are kept: %s', async (_, command) => {
    const {stdout, stderr, sid} = await wire(command())
    expect(stderr.length).toBe(0)
    expect(digest(await played(sid))).toBe(digest(stdout))
    expect(digest(await exported(sid))).toBe(digest(stdout))
  })

  it('are kept apart: stdout and stderr, also where one cuts into a character of the other', async () => {
    const {stdout, stderr, sid} = await wire(
      [
        `printf 'out \\303'; sleep 0.05; printf 'err \\342\\202' >&2; sleep 0.05; printf '\\251 out'`,
        `sleep 0.05; printf '\\254 err' >&2; sleep 0.05; cat ${given('both', noise(300_000))}`,
      ].join('; '),
    )
    expect(stderr.toString('utf8')).toBe('err € err')
    expect(digest(await played(sid, '--stream=stdout'))).toBe(digest(stdout))
    expect(digest(await played(sid, '--stream=stderr'))).toBe(digest(stderr))
    const both = await played(sid)
    expect(both.length).toBe(stdout.length + stderr.length)
    expect(both.subarray(0, 10).toString('latin1')).toBe('out \u00c3err \u00e2')
    expect(digest(await exported(sid))).toBe(digest(both))
  })

  it('are kept of a reader that stops for a while', async () => {
    const source = given('slow', noise(24_000_000))
    const {result: seen, events} = await field.during(async () => {
      const slow = start('ssh', [...client, where(), `cat ${source}`], {env: field.agent.env})
      const hash = createHash('sha256')
      let bytes = 0
      let stops = 3
      slow.stdout.on('data', (chunk: Buffer) => {
        hash.update(chunk)
        bytes += chunk.length
        if (stops === 0 || bytes < (4 - stops) * 5_000_000) return
        stops -= 1
        slow.stdout.pause()
        setTimeout(() => slow.stdout.resume(), 700)
      })
      await once(slow, 'close')
      return `${bytes} bytes, ${hash.digest('hex')}`
    })
    expect(seen).toBe(digest(readFileSync(source)))
    expect(digest(await played(String(named(events, 'session.end')[0]?.sid)))).toBe(seen)
  })
})

const escapes = '\u001b[31mred\u001b[0m\r\n\u001b]0;title\u0007\u001bP$q"p\u001b\\\u009b5n\ttab\b\u007f\n'

describe('the bytes of two channels of one connection', () => {
  it('are kept apart, whole, in a recording each', async () => {
    const {env} = field.agent
    const shared = await shareConnection(join(field.directory, 'control'), [...client, where()], {env})
    const sources = ['one', 'two'].map(name =>
      given(name, Buffer.concat([Buffer.from(name), noise(3_000_000)])),
    )
    const {result, events} = await field.during(() =>
      Promise.all(
        sources.map(source =>
          run('ssh', [...shared.words, ...client, where(), `cat ${source}`], {env, deadline: 60_000}),
        ),
      ),
    )
    await shared.close()
    expect(named(events, 'session.connect').length).toBeLessThanOrEqual(1)
    for (const [at, source] of sources.entries()) {
      const started = named(events, 'session.start').find(event => event.initial_command === `cat ${source}`)
      expect(digest(result[at]?.stdout ?? Buffer.alloc(0))).toBe(digest(readFileSync(source)))
      expect(digest(await played(String(started?.sid)))).toBe(digest(readFileSync(source)))
    }
  })
})

describe('the bytes of a terminal', () => {
  it('are kept when its size changes in the middle of characters', async () => {
    const socket = join(field.directory, 'tmux')
    const seen = join(field.directory, 'seen')
    const tmux = (...words: string[]) =>
      run('tmux', ['-S', socket, '-f', '/dev/null', ...words], {env: field.agent.env})
    // Between the marks nothing but the host writes; each half of a character waits for a new size of the terminal.
    const script = given(
      'halves.sh',
      Buffer.from(`stty raw -echo
printf 'BEG''IN'
for i in 1 2 3 4; do
  was=$(stty size)
  printf '<\\303'
  while [ "$(stty size)" = "$was" ]; do sleep 0.02; done
  printf '\\251\\342\\202'
  was=$(stty size)
  while [ "$(stty size)" = "$was" ]; do sleep 0.02; done
  printf '\\254>'
done
printf 'E''ND\\r\\n'
`),
    )
    const words = ['ssh', ...client, '-tt', where(), `sh ${script}`].map(word => `'${word}'`).join(' ')
    const {events} = await field.during(async () => {
      await tmux('new-session', '-d', '-x', '80', '-y', '24', `sleep 1; ${words}; sleep 1`)
      atEnd(async () => void (await tmux('kill-server')))
      await tmux('pipe-pane', '-O', `cat > ${seen}`)
      const bytes = () => (existsSync(seen) ? readFileSync(seen) : Buffer.alloc(0))
      for (let change = 0; change < 8; change += 1) {
        const halves = change % 2 === 0 ? /<\u00c3$/ : /\u00e2\u0082$/
        await eventually(
          () => halves.test(bytes().toString('latin1')),
          `half a character was shown, ${change}`,
        )
        await tmux('resize-window', '-x', String(100 + change), '-y', '30')
      }
      await eventually(() => bytes().includes('END'), 'the end was shown')
    })
    const between = (bytes: Buffer): string => /BEGIN[\s\S]*END/.exec(bytes.toString('latin1'))?.[0] ?? ''
    const sid = String(named(events, 'session.start')[0]?.sid)
    await eventually(() => named(field.events(), 'session.end').some(event => event.sid === sid), 'it ends')
    const raw = await played(sid)
    expect(between(raw)).toBe(between(readFileSync(seen)))
    expect(Buffer.from(between(raw), 'latin1').toString('utf8')).toBe(`BEGIN${'<é€>'.repeat(4)}END`)
    const json = (await field.cluster.admin(['play', sid, '--format=json'])).stdout
    const sizes = [...json.matchAll(/"type":\s*"resize"[^}]*"columns":\s*(\d+)/g)].map(match =>
      Number(match[1]),
    )
    expect(sizes).toEqual(expect.arrayContaining([100, 101, 102, 103, 104, 105, 106, 107]))
  })
})
