import {generateKeyPairSync} from 'node:crypto'
import {cpSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {type AuditLog, openAuditLog} from '../../src/lib/audit/index.js'
import {parseIndex, type RecordingIndex} from '../../src/lib/recording/format/index-file.js'
import {
  createRecordingWriter,
  openRecordingStore,
  type RecordingMeta,
  type RecordingStore,
  signRecordingHead,
} from '../../src/lib/recording/index.js'
import {formatAuthorizedKey, publicKeyBlob} from '../../src/lib/sshcert/index.js'
import {temporaryDirectory} from './temporary-directory.js'

/** When the recorded sessions began, Unix ms; long ago, so that the log must know all of them. */
export const began = Date.parse('2025-11-21T12:00:00Z')
const day = '2025-11-21'

/** A data directory with recordings and the audit log that speaks of them, to be tampered with. */
export interface Evidence {
  directory: string
  keys: ReturnType<typeof generateKeyPairSync>
  /** As `auth export --type=recording` prints it. */
  keyLine: string
  /** Sealed, six chunks each. */
  sealed: [string, string, string]
  /** Has no end. */
  open: string
  removed: string
  held: string
  /** A copy, for one manipulation. */
  copy(): Copy
}

export interface Copy {
  directory: string
  path(sid: string, ending: string): string
  index(sid: string): RecordingIndex
  /** The gzip members of the data file: the chunks, and last the seal. */
  members(sid: string): Buffer[]
  write(sid: string, members: readonly Buffer[]): void
  /** The lines of the index, each with its line break. */
  indexLines(sid: string): string[]
  auditFile: string
}

const signer = (keys: Evidence['keys']) => (sid: string, head: string) =>
  signRecordingHead(keys.privateKey, sid, head)

export const openEvidenceStore = (directory: string, keys: Evidence['keys']): Promise<RecordingStore> =>
  openRecordingStore({directory: join(directory, 'recordings'), now: () => began, signHead: signer(keys)})

export const openEvidenceLog = (directory: string): Promise<AuditLog> =>
  openAuditLog({directory: join(directory, 'audit'), clusterName: 'c1', now: () => began})

export async function makeEvidence(sids: readonly string[]): Promise<Evidence> {
  const directory = temporaryDirectory()
  const keys = generateKeyPairSync('ed25519')
  const [store, audit] = [await openEvidenceStore(directory, keys), await openEvidenceLog(directory)]
  const [a = '', b = '', c = '', open = '', removed = '', held = ''] = sids
  for (const sid of sids) await recordSession(store, audit, sid, sid !== open)
  await store.remove(removed, {
    ...{at: began + 5000, by: 'admin', cause: 'request'},
    announce: ({end}) =>
      audit.emit({
        ...{event: 'session.recording.delete', sid: removed},
        fields: {chunks: end?.chunks, head: end?.head},
      }),
  })
  await store.hold(held, {at: began, by: 'audrey'})
  await audit.emit({event: 'session.recording.hold', sid: held})
  await audit.close()
  await store.close()
  return {
    ...{directory, keys, sealed: [a, b, c], open, removed, held},
    keyLine: `${formatAuthorizedKey(publicKeyBlob(keys.publicKey))} clustername=c1&type=recording\n`,
    copy: () => copyOf(directory),
  }
}

/** A session on record, and its recording; `whole` false leaves it without an end. */
export async function recordSession(
  store: RecordingStore,
  audit: Pick<AuditLog, 'emit'>,
  sid: string,
  whole = true,
): Promise<void> {
  let clock = 0
  const writer = createRecordingWriter({meta: metaOf(sid), sink: store, now: () => clock})
  await writer.started()
  await audit.emit({event: 'session.start', user: 'joe', sid, fields: {recorded: true}})
  for (let part = 1; part < 6; part += 1) {
    writer.output(Buffer.from(`${sid} part ${part} `.repeat(20)))
    clock += 100
    await writer.flush()
  }
  if (!whole) return
  const {chunks, head} = await writer.end()
  await audit.emit({event: 'session.upload', user: 'joe', sid, fields: {chunks, head}})
  await audit.emit({event: 'session.end', user: 'joe', sid, fields: {recorded: true}})
}

const metaOf = (sid: string): RecordingMeta => ({
  ...{sid, cluster: 'c1', user: 'joe', login: 'root', host: 'web1', address: '10.0.0.7:22'},
  ...{startedAt: began, interactive: true, width: 80, height: 24},
})

function copyOf(original: string): Copy {
  const directory = join(temporaryDirectory(), 'copy')
  cpSync(original, directory, {recursive: true})
  const path = (sid: string, ending: string) => join(directory, 'recordings', day, `${sid}.${ending}`)
  const index = (sid: string) => parseIndex(readFileSync(path(sid, 'index.jsonl')))
  return {
    ...{directory, path, index},
    auditFile: join(directory, 'audit', `events-000000000001-${day}.jsonl`),
    members(sid) {
      const data = readFileSync(path(sid, 'cast.gz'))
      const {chunks} = index(sid)
      const parts = chunks.map(({offset, length}) => data.subarray(offset, offset + length))
      const last = chunks.at(-1)
      return [...parts, data.subarray(last ? last.offset + last.length : 0)]
    },
    write: (sid, members) => writeFileSync(path(sid, 'cast.gz'), Buffer.concat(members)),
    indexLines: sid =>
      readFileSync(path(sid, 'index.jsonl'), 'utf8')
        .trimEnd()
        .split('\n')
        .map(line => `${line}\n`),
  }
}

/** The file with one bit of the byte at `at` flipped; counted from the end where negative. */
export function flip(path: string, at: number): void {
  const bytes = readFileSync(path)
  const place = at < 0 ? bytes.length + at : at
  bytes[place] = (bytes[place] ?? 0) ^ 0x04
  writeFileSync(path, bytes)
}
