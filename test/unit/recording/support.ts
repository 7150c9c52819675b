import {generateKeyPairSync, randomUUID} from 'node:crypto'
import {
  createRecordingWriter,
  openRecordingStore,
  type RecordingMeta,
  type RecordingStore,
  type RecordingWriter,
  signRecordingHead,
} from '../../../src/lib/recording/index.js'
import {type CastEvent, exactBytes, readCast} from '../../../src/lib/recording/read/reader.js'

export const keys = generateKeyPairSync('ed25519')

export const meta = (changes: Partial<RecordingMeta> = {}): RecordingMeta => ({
  sid: randomUUID(),
  cluster: 'c1',
  user: 'joe',
  login: 'root',
  host: 'web1',
  address: '10.0.0.7:22',
  startedAt: Date.parse('2025-11-21T12:00:00Z'),
  interactive: true,
  width: 80,
  height: 24,
  ...changes,
})

export const openStore = (directory: string): Promise<RecordingStore> =>
  openRecordingStore({
    directory,
    now: () => Date.parse('2025-11-21T12:00:00Z'),
    signHead: (sid, head) => signRecordingHead(keys.privateKey, sid, head),
  })

/** Records what `session` does with a clock of its own, seals it, and gives the session ID. */
export async function record(
  store: RecordingStore,
  session: (writer: RecordingWriter, wait: (ms: number) => void) => void | Promise<void>,
  changes: Partial<RecordingMeta> = {},
): Promise<string> {
  let clock = 0
  const facts = meta(changes)
  const writer = createRecordingWriter({meta: facts, sink: store, now: () => clock})
  await session(writer, ms => {
    clock += ms
  })
  await writer.end()
  return facts.sid
}

export async function collect(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const pieces: Uint8Array[] = []
  for await (const piece of source) pieces.push(piece)
  return Buffer.concat(pieces)
}

export async function* pieces(data: Uint8Array, size = 4096): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < data.length; at += size) yield data.subarray(at, at + size)
}

export async function readAll(data: Uint8Array) {
  const cast = await readCast(pieces(data))
  const events: CastEvent[] = []
  for await (const event of cast.events) events.push(event)
  return {header: cast.header, events, end: cast.end()}
}

/** What was on the wire, as the events give it back. */
export const wire = (events: CastEvent[], stream?: 'stdout' | 'stderr'): Buffer =>
  Buffer.concat(
    events.flatMap(event =>
      event.kind === 'output' && (stream === undefined || event.stream === stream) ? [exactBytes(event)] : [],
    ),
  )
