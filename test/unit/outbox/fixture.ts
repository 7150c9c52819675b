import {generateKeyPairSync, randomUUID} from 'node:crypto'
import {appendFileSync, readdirSync, readFileSync} from 'node:fs'
import {join} from 'node:path'
import {gunzipSync, gzipSync} from 'node:zlib'
import {type AuditEvent, type AuditInput, type AuditLog, openAuditLog} from '../../../src/lib/audit/index.js'
import {problem} from '../../../src/lib/errors/index.js'
import {
  createOutbox,
  type Outbox,
  type OutboxAuth,
  type OutboxOptions,
} from '../../../src/lib/outbox/index.js'
import {CHAIN_CODE, eventLine, headerLine} from '../../../src/lib/recording/format/asciicast.js'
import {chainDigest, GENESIS} from '../../../src/lib/recording/format/chain.js'
import {
  openRecordingStore,
  type RecordingChunk,
  type RecordingEnd,
  type RecordingMeta,
  type RecordingStore,
  signRecordingHead,
} from '../../../src/lib/recording/index.js'
import {atEnd} from '../../support/cleanup.js'
import {eventually} from '../../support/eventually.js'
import {temporaryDirectory} from '../../support/temporary-directory.js'

const {privateKey} = generateKeyPairSync('ed25519')

/** The auth service as the outbox sees it: a real log and a real store, behind a connection that can fail. */
export interface FakeAuth extends OutboxAuth {
  log: AuditLog
  store: RecordingStore
  /** Asked before each call: an error to fail with, before or after the call was carried out. */
  fault: (method: string) => {when: 'before' | 'after'; error: unknown} | undefined
  /** Every call that came, in its order. */
  calls: string[]
  trail(): AuditEvent[]
  of(sid: string): string[]
}

export const away = (): {when: 'before'; error: unknown} => ({
  when: 'before',
  error: problem('unavailable', 'the auth service cannot be reached'),
})

export async function openFakeAuth(directory: string): Promise<FakeAuth> {
  const log = await openAuditLog({directory: join(directory, 'audit'), clusterName: 'c1'})
  atEnd(() => log.close())
  const store = await openRecordingStore({
    directory: join(directory, 'recordings'),
    signHead: (sid, head) => signRecordingHead(privateKey, sid, head),
  })
  const call = async <T>(method: string, run: () => Promise<T>): Promise<T> => {
    auth.calls.push(method)
    const fault = auth.fault(method)
    if (fault?.when === 'before') throw fault.error
    const answer = await run()
    if (fault) throw fault.error
    return answer
  }
  const trail = (): AuditEvent[] =>
    readdirSync(join(directory, 'audit'))
      .filter(name => name.endsWith('.jsonl'))
      .sort()
      .flatMap(name =>
        readFileSync(join(directory, 'audit', name), 'utf8')
          .trim()
          .split('\n'),
      )
      .filter(line => line !== '')
      .map(line => JSON.parse(line))
  const auth: FakeAuth = {
    ...{log, store, trail, fault: () => undefined, calls: []},
    of: sid => trail().flatMap(record => (record.sid === sid ? [record.event] : [])),
    ping: () => call('ping', async () => undefined),
    emit: input => call('emit', async () => void (await log.emit(input))),
    emitAll: inputs =>
      call('emitAll', async () => {
        await Promise.all(inputs.map(input => log.emit(input)))
      }),
    beginRecording: meta => call('begin', () => store.begin(meta)),
    appendRecording: (sid, chunk) => call(`chunk ${chunk.sequence}`, () => store.append(sid, chunk)),
    sealRecording: (sid, end) => call('seal', () => store.seal(sid, end)),
  }
  return auth
}

/** An auth service, and where an outbox for it may be. */
export async function openPlace(): Promise<{directory: string; auth: FakeAuth}> {
  const root = temporaryDirectory()
  return {directory: join(root, 'outbox'), auth: await openFakeAuth(root)}
}

export interface TestOutbox extends Outbox {
  logged: string[]
}

export async function openOutbox(
  options: Pick<OutboxOptions, 'directory' | 'auth'> & Partial<OutboxOptions>,
): Promise<TestOutbox> {
  const logged: string[] = []
  const note = (fields: object, message: string) => void logged.push(`${message} ${JSON.stringify(fields)}`)
  const outbox = await createOutbox({
    ...{capBytes: 1 << 30, sync: false, now: Date.now, retry: {firstMs: 1, longestMs: 20}},
    log: {info: note, warn: note, error: note},
    ...options,
  })
  atEnd(() => outbox.close(0))
  return Object.assign(outbox, {logged})
}

/** Resolves when auth has everything. */
export async function delivered(outbox: Outbox): Promise<void> {
  await eventually(() => {
    const {events, recordings} = outbox.status()
    return events === 0 && recordings === 0
  })
}

export interface Session {
  sid: string
  meta: RecordingMeta
  chunks: RecordingChunk[]
  end: RecordingEnd
  event(event: AuditInput['event'], fields?: Record<string, unknown>): AuditInput
}

export function session(count = 3, text = (i: number) => `line ${i}`): Session {
  const sid = randomUUID()
  const startedAt = Date.now()
  const meta: RecordingMeta = {
    ...{sid, cluster: 'c1', user: 'joe', login: 'root', host: 'web1', address: '10.0.0.7:22'},
    ...{startedAt, interactive: false, width: 80, height: 24, command: 'make'},
  }
  let digest = GENESIS
  const chunks = Array.from({length: count}, (_, sequence) => {
    const output = eventLine(sequence * 10, 'o', text(sequence))
    const link = eventLine(sequence * 10, CHAIN_CODE, `${sequence} ${digest}`)
    const data = gzipSync(sequence === 0 ? headerLine(meta) : link + output)
    digest = chainDigest(digest, data)
    return {sequence, firstMs: sequence * 10, lastMs: sequence * 10, data, digest}
  })
  return {
    ...{sid, meta, chunks},
    end: {endedAt: startedAt + 1000, durationMs: 1000, chunks: count, head: digest},
    event: (event, fields = {}) => ({
      ...{event, sid, user: 'joe', login: 'root', server_hostname: 'web1', proto: 'ssh'},
      fields: {session_recording: 'proxy', ...fields},
    }),
  }
}

/** All of a session, each step waited for, as a served one does it. */
export async function play(outbox: Outbox, {meta, sid, chunks, end, event}: Session): Promise<void> {
  await outbox.beginRecording(meta)
  for (const [i, chunk] of chunks.entries()) {
    await outbox.appendRecording(sid, chunk)
    if (i === 0) await outbox.emit(event('session.start', {recorded: true, initial_command: 'make'}))
  }
  await outbox.sealRecording(sid, end)
  await outbox.emit(event('session.upload'))
  await outbox.emit(event('session.data'))
  await outbox.emit(event('session.end', {recorded: true}))
}

export const wholeTrail = ['session.start', 'session.upload', 'session.data', 'session.end']

/** What the recording has, and whether it has its end. */
export async function recorded(auth: FakeAuth, sid: string) {
  const {summary, data} = await auth.store.open(sid)
  const parts: Uint8Array[] = []
  for await (const part of data) parts.push(part)
  const text = gunzipSync(Buffer.concat(parts)).toString()
  return {state: summary.state, lines: [...text.matchAll(/"(line \d+)"/g)].map(([, line]) => line), text}
}

export const spoolFiles = (directory: string): string[] => readdirSync(directory).sort()

/** A copy of what a killed process left is what is on disk: nothing has to be done for it. */
export const garble = (file: string, bytes: string | Buffer): void => appendFileSync(file, bytes)
