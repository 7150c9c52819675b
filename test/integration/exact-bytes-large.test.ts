import {createHash} from 'node:crypto'
import {once} from 'node:events'
import {readFileSync} from 'node:fs'
import {beforeAll, expect, it} from 'vitest'
import {startSallyport} from '../support/cluster.js'
import {type Field, login, startFieldWithTarget} from '../support/field.js'
import {type PipedProcess, start} from '../support/process.js'
import type {Sshd} from '../support/sshd.js'

// A long session is kept byte for byte as well, and nothing grows with its length.

const megabytes = 500
let field: Field
let target: Sshd
let client: string[]

beforeAll(async () => {
  const place = await startFieldWithTarget()
  ;({field, target} = place)
  client = [...field.throughSubsystem(place.key), '-p', String(target.port), `${login}@127.0.0.1`]
})

/** Digest of what a process writes; `look` is called after each so many bytes of it. */
async function digestOf(child: PipedProcess, every = Infinity, look: () => void = () => {}): Promise<string> {
  const hash = createHash('sha256')
  let bytes = 0
  let next = every
  let said = ''
  child.stderr.on('data', chunk => {
    said += chunk
  })
  child.stdout.on('data', (chunk: Buffer) => {
    hash.update(chunk)
    bytes += chunk.length
    for (; bytes >= next; next += every) look()
  })
  const [code] = (await once(child, 'close')) as [number]
  expect([code, said]).toEqual([0, ''])
  return `${bytes} bytes, ${hash.digest('hex')}`
}

/** Resident memory of a process, megabytes. */
const residentMemory = (pid: number): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024

it(`${megabytes} MB of output are kept byte for byte, and the memory of the service stays flat`, async () => {
  const samples: number[] = []
  const command = `seq 1 100000000 | head -c ${megabytes}M`
  const {result: seen, events} = await field.during(() =>
    digestOf(start('ssh', [...client, command], {env: field.agent.env}), 5_000_000, () =>
      samples.push(residentMemory(field.cluster.pid)),
    ),
  )
  expect(seen).toContain(`${megabytes * 1024 * 1024} bytes`)
  const warm = Math.max(...samples.slice(0, 20))
  const rest = Math.max(...samples.slice(20))
  expect(samples.length).toBeGreaterThan(100)
  expect(rest - warm).toBeLessThan(60)
  const sid = String(events.find(({event}) => event === 'session.end')?.sid)
  const player = startSallyport(['play', sid, '--format=raw', `--config=${field.cluster.configPath}`])
  const playing: number[] = []
  const played = digestOf(player, 5_000_000, () => playing.push(residentMemory(player.pid ?? 0)))
  expect(await played).toBe(seen)
  expect(Math.max(...playing.slice(20)) - Math.max(...playing.slice(0, 20))).toBeLessThan(60)
}, 300_000)
