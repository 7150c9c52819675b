import {randomUUID} from 'node:crypto'
import {writeSync} from 'node:fs'
import {problem} from '../../src/lib/errors/index.js'
import {createOutbox, type OutboxAuth} from '../../src/lib/outbox/index.js'
import {createRecordingWriter} from '../../src/lib/recording/index.js'

/**
 * A process that is there to be killed: it serves sessions that never existed through an outbox in the directory given,
 * and says on stdout what was acknowledged. Auth is the process that started it.
 */
const [directory = ''] = process.argv.slice(2)
const pending = new Map<number, {resolve: (value: unknown) => void; reject: (error: unknown) => void}>()
let calls = 0

process.on('message', ({id, error}: {id: number; error?: string}) => {
  const call = pending.get(id)
  pending.delete(id)
  if (error === undefined) call?.resolve(undefined)
  else call?.reject(problem('unavailable', error))
})

const call =
  (method: keyof OutboxAuth) =>
  (...parameters: unknown[]): Promise<never> =>
    new Promise((resolve, reject) => {
      const id = ++calls
      pending.set(id, {resolve: resolve as () => void, reject})
      process.send?.({id, method, parameters})
    })

const auth: OutboxAuth = {
  ping: call('ping'),
  emit: call('emit'),
  emitAll: call('emitAll'),
  beginRecording: call('beginRecording'),
  appendRecording: call('appendRecording'),
  sealRecording: call('sealRecording'),
}
const log = {info: () => undefined, warn: () => undefined, error: () => undefined}
const outbox = await createOutbox({
  ...{directory, auth, capBytes: 1 << 30, sync: false, now: Date.now, log},
  retry: {firstMs: 5, longestMs: 50},
})

/** Written at once: a buffer would die with the process. A pipe that is full is waited for. */
function acknowledged(...words: unknown[]): void {
  for (const line = `${words.join(' ')}\n`; ; ) {
    try {
      writeSync(1, line)
      return
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error
    }
  }
}

async function serve(): Promise<void> {
  const sid = randomUUID()
  const facts = {sid, user: 'joe', login: 'root', server_hostname: 'web1'}
  let count = 0
  const emit = async (event: 'session.start' | 'resize' | 'session.upload' | 'session.end') => {
    const number = count++
    await outbox.emit({...facts, event, fields: {number}})
    acknowledged('event', sid, event, number)
  }
  const writer = createRecordingWriter({
    meta: {
      ...{sid, cluster: 'c1', user: 'joe', login: 'root', host: 'web1', address: '10.0.0.7:22'},
      ...{startedAt: Date.now(), interactive: true, width: 80, height: 24},
    },
    sink: {
      begin: meta => outbox.beginRecording(meta) as Promise<void>,
      append: (id, chunk) => outbox.appendRecording(id, chunk) as Promise<void>,
      seal: (id, end) => outbox.sealRecording(id, end) as Promise<void>,
    },
  })
  await writer.started()
  await emit('session.start')
  for (let line = 1; line <= 6; line++) {
    writer.output(Buffer.from(`line ${line} of ${sid}\r\n`))
    await writer.flush()
    acknowledged('line', sid, line)
    await emit('resize')
  }
  await writer.end()
  acknowledged('sealed', sid)
  await emit('session.upload')
  await emit('session.end')
}

async function serveForEver(): Promise<void> {
  for (;;) await serve()
}

async function emitForEver(): Promise<void> {
  for (let number = 0; ; number++) {
    const user = `${process.pid}-${number}`
    await outbox.emit({event: 'port', user})
    acknowledged('host', user)
  }
}

await Promise.all([...Array.from({length: 5}, serveForEver), emitForEver()])
