// `npm run bench:outbox`: how fast the outbox takes events and recordings, beside the disk alone, all in one run.
import {randomUUID} from 'node:crypto'
import {open, rm} from 'node:fs/promises'
import {join} from 'node:path'
import {parseArgs} from 'node:util'
import {problem} from '../../src/lib/errors/index.js'
import {createOutbox, type Outbox, type OutboxAuth} from '../../src/lib/outbox/index.js'
import {cleanUp} from '../support/cleanup.js'
import {temporaryDirectory} from '../support/temporary-directory.js'

const usage = `Usage: npm run bench:outbox -- [--seconds=N] [--directory=DIR]

  --seconds    of each measurement (5)
  --directory  on the disk to be measured (a temporary one)
`

const log = {info: () => undefined, warn: () => undefined, error: () => undefined}
const command = 'ansible-playbook --limit web site.yml '.repeat(4)

function authThat(answer: () => Promise<void>): OutboxAuth {
  return {
    ...{ping: answer, emit: answer, emitAll: answer, beginRecording: answer},
    ...{appendRecording: answer, sealRecording: answer},
  }
}
const away = authThat(() => Promise.reject(problem('unavailable', 'away')))
const prompt = authThat(() => Promise.resolve())

const openOutbox = (directory: string, auth: OutboxAuth): Promise<Outbox> =>
  createOutbox({directory, auth, capBytes: 2 ** 40, sync: false, now: Date.now, log})

/** Rounds of `work` a second, `emitters` of them at a time. */
async function rate(milliseconds: number, emitters: number, work: (i: number) => Promise<unknown>) {
  const end = performance.now() + milliseconds
  let done = 0
  const run = async (i: number): Promise<void> => {
    while (performance.now() < end) {
      await work(i)
      done++
    }
  }
  const begun = performance.now()
  await Promise.all(Array.from({length: emitters}, (_, i) => run(i)))
  return Math.round((done / (performance.now() - begun)) * 1000)
}

/** Writes of one event each, with fdatasync, one after the other: what the disk does without us. */
async function diskAlone(directory: string, milliseconds: number): Promise<number> {
  const path = join(directory, 'disk')
  const handle = await open(path, 'w')
  const block = Buffer.alloc(512, 'x')
  const result = await rate(milliseconds, 1, async () => {
    await handle.write(block)
    await handle.datasync()
  })
  await handle.close()
  await rm(path)
  return result
}

async function main(): Promise<void> {
  const {values} = parseArgs({
    options: {seconds: {type: 'string', default: '5'}, directory: {type: 'string'}, help: {type: 'boolean'}},
  })
  if (values.help) return void process.stdout.write(usage)
  const milliseconds = Number(values.seconds) * 1000
  const root = values.directory ?? temporaryDirectory()
  const line = (what: string, value: number): void =>
    void process.stdout.write(`${what.padEnd(64)}${value.toLocaleString('en').padStart(10)}/s\n`)
  line('writes with fdatasync, one after the other', await diskAlone(root, milliseconds))
  const sids = Array.from({length: 500}, () => randomUUID())
  for (const [name, auth] of [
    ['away', away],
    ['there', prompt],
  ] as const) {
    const outbox = await openOutbox(join(root, `outbox-${name}`), auth)
    const emit = (sid?: string) =>
      outbox.emit({event: 'exec', user: 'joe', ...(sid && {sid}), fields: {command}})
    line(`events of no session, 500 at a time, auth is ${name}`, await rate(milliseconds, 500, () => emit()))
    line(
      `events of 100 sessions, one at a time each, auth is ${name}`,
      await rate(milliseconds, 100, i => emit(sids[i])),
    )
    line(
      `events of 100 sessions, ten at a time each, auth is ${name}`,
      await rate(milliseconds, 1000, i => emit(sids[i % 100])),
    )
    await outbox.close(0)
  }
}

try {
  await main()
} finally {
  await cleanUp()
}
