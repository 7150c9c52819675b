import {readFile} from 'node:fs/promises'
import {basename} from 'node:path'
import {Args, Flags} from '@oclif/core'
import {accessFlags, BaseCommand, formatFlag, render} from '../../lib/cli/index.js'
import type {SessionVerdict} from '../../lib/client/index.js'
import {problem} from '../../lib/errors/index.js'
import type {RecordingIndex, RecordingVerdict} from '../../lib/recording/index.js'

export default class RecordingsVerify extends BaseCommand {
  static override summary = 'Check that a recording is what was recorded'
  static override description =
    `Follows the chain of its chunks and checks the signature at its end; names the first bad chunk. A session is also held
against the audit log, which knows how many chunks there were; of one that was removed, the tombstone is verified. A file is
verified without any service when --key names the public key of the recording authority; an index beside it
(*.index.jsonl) is used where there is one.`
  static override examples = [
    '<%= config.bin %> recordings verify 5e1f0d3a-9c1b-4c3e-8a55-0d6a4a1f2b7c',
    '<%= config.bin %> recordings verify session.cast.gz --key recording.pub',
  ]
  static override args = {
    session: Args.string({description: 'session ID, or a recording file', required: true}),
  }
  static override flags = {
    key: Flags.string({description: 'file with the public keys to verify with', helpValue: 'FILE'}),
    index: Flags.string({description: "the recording's index file", helpValue: 'FILE'}),
    format: formatFlag(),
    ...accessFlags,
  }

  async run(): Promise<void> {
    const {args, flags} = await this.parse(RecordingsVerify)
    const {isSid} = await import('../../lib/recording/index.js')
    const sid = args.session.toLowerCase()
    const verdict = isSid(sid) ? await verifyBySid(sid, flags) : await verifyFile(args.session, flags)
    await render(verdict, {format: flags.format, text: () => words(verdict)})
    conclude(verdict)
  }
}

type Removed = Extract<SessionVerdict, {result: 'removed'}>

interface VerifyFlags {
  key?: string | undefined
  index?: string | undefined
  config?: string | undefined
  'data-dir'?: string | undefined
  proxy?: string | undefined
  identity?: string | undefined
  insecure: boolean
}

async function verifyBySid(sid: string, flags: VerifyFlags): Promise<SessionVerdict> {
  const {recordingKeys, verifySession, withHistoryApi} = await import('../../lib/client/index.js')
  return await withHistoryApi(flags, async api => {
    const text = flags.key ? await readKey(flags.key) : await api.exportAuthorities({type: 'recording'})
    return await verifySession(api, sid, recordingKeys(text))
  })
}

async function verifyFile(path: string, flags: VerifyFlags): Promise<RecordingVerdict> {
  const {recordingKeys, withHistoryApi} = await import('../../lib/client/index.js')
  const {isSid, readFileBytes, verifyRecording} = await import('../../lib/recording/index.js')
  const text = flags.key
    ? await readKey(flags.key)
    : await withHistoryApi(flags, api => api.exportAuthorities({type: 'recording'}))
  const named = basename(path).replace(/\.cast\.gz$/, '')
  const index = await readIndex(path, flags.index)
  return await verifyRecording({
    data: readFileBytes(path),
    keys: recordingKeys(text),
    ...(index && {index}),
    ...(isSid(named) && {sid: named}),
  })
}

const readKey = (path: string): Promise<string> =>
  readFile(path, 'utf8').catch(cause => {
    throw problem('not_found', `the key file ${path} cannot be read`, {cause})
  })

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

function words(verdict: SessionVerdict): string {
  if (verdict.result === 'removed') return removedWords(verdict)
  if (verdict.result !== 'verified') return ''
  const {sid, chunks, truncated} = verdict
  const found = `The recording of session ${sid} is what was recorded: ${chunks} chunks, unbroken and signed.`
  return truncated === undefined ? found : `${found}\nIt is not all of the session: ${truncated}.`
}

function removedWords({sid, removedAt, removedBy, cause, reason, end}: Removed): string {
  const by = cause === 'retention' ? 'because it was older than the cluster keeps' : `by ${removedBy}`
  const why = reason === undefined ? '' : `: ${reason}`
  const what = end
    ? ` It had ${end.chunks} chunks; the last one's digest is ${end.head}.`
    : ' It was damaged.'
  return `The recording of session ${sid} was removed in order on ${new Date(removedAt).toISOString()} ${by}${why}.${what}`
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
