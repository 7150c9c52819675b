import {readFile} from 'node:fs/promises'
import {basename} from 'node:path'
import {Args, Flags} from '@oclif/core'
import {accessFlags, BaseCommand, formatFlag, render} from '../../lib/cli/index.js'
import type {SessionVerdict} from '../../lib/client/index.js'
import {problem} from '../../lib/errors/index.js'
import type {StoreFilesVerdict} from '../../lib/evidence/index.js'
import {isUuid} from '../../lib/names/index.js'
import type {RecordingIndex, RecordingVerdict} from '../../lib/recording/index.js'

type KeyObjects = Parameters<typeof import('../../lib/recording/index.js').tombstoneFault>[1]

export default class RecordingsVerify extends BaseCommand {
  static override summary = 'Check that recordings are what was recorded'
  static override description =
    `Follows the chain of a recording's chunks and checks the signature at its end; names the first bad chunk. A session is
also held against the audit log, which knows how many chunks there were; of one that was removed, the tombstone is verified.

Without a session, all of a store is verified on the machine that has its files, and held against the audit log: what was
changed, rolled back, deleted without a tombstone or put there is named. The service need not run.

With --key, which names the public key of the recording authority, a file or a copy of a store is verified without any service;
an index beside a file (*.index.jsonl) is used where there is one.`
  static override examples = [
    '<%= config.bin %> recordings verify 5e1f0d3a-9c1b-4c3e-8a55-0d6a4a1f2b7c',
    '<%= config.bin %> recordings verify session.cast.gz --key recording.pub',
    '<%= config.bin %> recordings verify --all --checkpoint checkpoint.json',
    '<%= config.bin %> recordings verify --all --directory copy --key recording.pub --checkpoint checkpoint.json',
  ]
  static override args = {
    session: Args.string({description: 'session ID, or a recording file; all of a store without one'}),
  }
  static override flags = {
    all: Flags.boolean({description: 'all recordings of a store'}),
    key: Flags.string({description: 'file with the public keys to verify with', helpValue: 'FILE'}),
    index: Flags.string({description: "the recording's index file", helpValue: 'FILE'}),
    directory: Flags.string({
      description: 'a copy of a data directory, with all of its store',
      helpValue: 'DIR',
    }),
    checkpoint: Flags.string({description: 'the end of the audit log as it was once', helpValue: 'FILE'}),
    format: formatFlag(),
    ...accessFlags,
  }

  async run(): Promise<void> {
    const {args, flags} = await this.parse(RecordingsVerify)
    const {session} = args
    if (session === undefined) return await verifyAll(flags)
    if (flags.all) throw problem('usage', '--all is for a store, not for one session')
    const sid = session.toLowerCase()
    const verdict = isUuid(sid) ? await verifyBySid(sid, flags) : await verifyFile(session, flags)
    await render(verdict, {format: flags.format, text: () => words(verdict, isUuid(sid))})
    conclude(verdict)
  }
}

type Removed = Extract<SessionVerdict, {result: 'removed'}>

interface VerifyFlags {
  key?: string | undefined
  index?: string | undefined
  directory?: string | undefined
  checkpoint?: string | undefined
  format: 'text' | 'json' | 'yaml'
  config?: string | undefined
  'data-dir'?: string | undefined
  proxy?: string | undefined
  identity?: string | undefined
  insecure: boolean
}

async function verifyAll(flags: VerifyFlags): Promise<void> {
  const {headWords, unseenSessions, verifyStoreFiles} = await import('../../lib/evidence/index.js')
  const {config, directory, checkpoint} = flags
  const verdict = await verifyStoreFiles({
    ...{config, directory, checkpoint, dataDir: flags['data-dir'], now: Date.now()},
    ...{keys: await keysFor(flags), checkSignature: flags.key !== undefined},
  })
  await render(verdict, {format: flags.format, text: () => storeWords(verdict, {headWords, unseenSessions})})
  const {audit, bad} = verdict
  if (!audit.ok)
    throw problem(
      'audit_corrupt',
      `record ${audit.bad.record} of the audit log is bad: ${audit.bad.reason}`,
      {
        hint: 'what the log says of the recordings from there on proves nothing',
      },
    )
  if (bad.length > 0)
    throw problem(
      'recording_corrupt',
      `${count(bad.length, 'recording is', 'recordings are')} not as recorded`,
    )
}

async function verifyBySid(sid: string, flags: VerifyFlags): Promise<SessionVerdict> {
  const {readKeyFile, recordingKeys, verifySession, withHistoryApi} = await import(
    '../../lib/client/index.js'
  )
  return await withHistoryApi(flags, async api => {
    const keys = flags.key
      ? await readKeyFile(flags.key)
      : recordingKeys(await api.exportAuthorities({type: 'recording'}))
    return await verifySession(api, sid, keys)
  })
}

async function keysFor(flags: VerifyFlags): Promise<KeyObjects> {
  const {readKeyFile, recordingKeys, withHistoryApi} = await import('../../lib/client/index.js')
  if (flags.key !== undefined) return await readKeyFile(flags.key)
  return recordingKeys(await withHistoryApi(flags, api => api.exportAuthorities({type: 'recording'})))
}

async function verifyFile(path: string, flags: VerifyFlags): Promise<RecordingVerdict> {
  const {readFileBytes, verifyRecording} = await import('../../lib/recording/index.js')
  const keys = await keysFor(flags)
  const named = basename(path).replace(/\.cast\.gz$/, '')
  const index = await readIndex(path, flags.index)
  return await verifyRecording({
    ...{data: readFileBytes(path), keys},
    ...(index && {index}),
    ...(isUuid(named) && {sid: named}),
  })
}

/** The index that was named, or the one beside the recording where there is one. */
async function readIndex(path: string, named: string | undefined): Promise<RecordingIndex | undefined> {
  const {parseIndex} = await import('../../lib/recording/index.js')
  const file = named ?? path.replace(/(\.cast)?(\.gz)?$/, '.index.jsonl')
  const bytes = await readFile(file).catch(cause => {
    if (named === undefined && cause.code === 'ENOENT') return undefined
    throw problem('not_found', `the index ${file} cannot be read`, {cause})
  })
  return bytes && parseIndex(bytes)
}

function words(verdict: SessionVerdict, againstLog: boolean): string {
  if (verdict.result === 'removed') return removedWords(verdict)
  if (verdict.result !== 'verified') return ''
  const {sid, chunks, truncated} = verdict
  return [
    `The recording of session ${sid} is what was recorded: ${chunks} chunks, unbroken and signed.`,
    ...(truncated === undefined ? [] : [`It is not all of the session: ${truncated}.`]),
    ...(againstLog
      ? []
      : ['Whether there were other recordings, now deleted, cannot be seen from one file.']),
  ].join('\n')
}

function removedWords({sid, removedAt, removedBy, cause, reason, end}: Removed): string {
  const by = cause === 'retention' ? 'because it was older than the cluster keeps' : `by ${removedBy}`
  const why = reason === undefined ? '' : `: ${reason}`
  const what = end
    ? ` It had ${end.chunks} chunks; the last one's digest is ${end.head}.`
    : ' It was damaged.'
  return `The recording of session ${sid} was removed in order on ${new Date(removedAt).toISOString()} ${by}${why}.${what}`
}

const count = (number: number, one: string, many: string): string => `${number} ${number === 1 ? one : many}`

type LogWords = Pick<typeof import('../../lib/evidence/index.js'), 'headWords' | 'unseenSessions'>

function storeWords(
  {verified, truncated, unvouched, removed, open, held, removing, bad, audit}: StoreFilesVerdict,
  {headWords, unseenSessions}: LogWords,
): string {
  const notes: [number, string][] = [
    [truncated, 'of them cut short: not all of their session'],
    [
      unvouched,
      'of them without word of their length in the audit log: only their own signature speaks for them',
    ],
    [removed, 'removed in order'],
    [open, 'without an end: they run, or were cut short; chunks missing at their end cannot be seen'],
    [held, 'under legal hold'],
    [removing, 'about to be removed in order: the service finishes that when it runs'],
  ]
  const log = audit.ok && audit.checkpoint === 'found' ? 'holds the checkpoint' : 'no checkpoint was given'
  return [
    `${count(verified, 'recording is', 'recordings are')} what was recorded.`,
    ...notes.filter(([number]) => number > 0).map(([number, note]) => `${number} ${note}.`),
    ...bad.map(
      ({sid, chunk, reason}) => `${sid}: ${chunk === undefined ? '' : `chunk ${chunk} is bad: `}${reason}`,
    ),
    ...(audit.ok ? [`The audit log is unbroken: ${audit.records} records; ${log}.`] : []),
    ...(audit.ok && audit.pruned
      ? ['It was pruned: of recordings from before its beginning nobody can say whether one is missing.']
      : []),
    ...(audit.ok ? [...headWords(audit), unseenSessions(audit)] : []),
  ].join('\n')
}

function conclude(verdict: SessionVerdict): void {
  if (verdict.result === 'bad') {
    const {chunk, reason} = verdict
    throw problem('recording_corrupt', chunk === undefined ? reason : `chunk ${chunk} is bad: ${reason}`)
  }
  if (verdict.result === 'unsealed')
    throw problem(
      'recording_unavailable',
      `the ${verdict.chunks} chunks of session ${verdict.sid} are unbroken, but nobody signed them: the session still runs or was cut short, and chunks missing at the end cannot be seen`,
      {hint: 'verify it again when the session has ended'},
    )
}
