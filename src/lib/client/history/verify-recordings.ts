import type {KeyObject} from 'node:crypto'
import {basename} from 'node:path'
import {isMissing, readSmallBytes} from '../../durable/index.js'
import {asProblem, problem, type SallyportError} from '../../errors/index.js'
import {
  type SessionFilesVerdict,
  type StoreFilesVerdict,
  verifySessionFiles,
  verifyStoreFiles,
} from '../../evidence/index.js'
import {isUuid} from '../../names/index.js'
import {
  parseIndex,
  type RecordingIndex,
  readFileBytes,
  type SessionVerdict,
  verifyRecording,
} from '../../recording/index.js'
import {withAuthApi} from '../api/auth-access.js'
import {readKeyFile} from '../identity/key-file.js'
import {recordingKeys} from './recording-keys.js'
import type {VerifyFlags} from './verify-flags.js'
import {verifySession} from './verify-session.js'

/** Every recording of a store, held against its audit log; in the files. `now` in Unix ms. */
export const verifyStore = async (flags: VerifyFlags, now: number): Promise<StoreFilesVerdict> =>
  verifyStoreFiles(await filesOf(flags, now))

/** The recording of one session in a copy of a data directory. Throws `not_found`. */
export const verifyCopiedSession = async (
  sid: string,
  flags: VerifyFlags,
  now: number,
): Promise<SessionFilesVerdict> => verifySessionFiles(sid, await filesOf(flags, now))

const filesOf = async (flags: VerifyFlags, now: number) => {
  const {config, directory, checkpoint} = flags
  const checkSignature = flags.key !== undefined
  return {
    config,
    directory,
    checkpoint,
    dataDir: flags['data-dir'],
    now,
    checkSignature,
    keys: await keysFor(flags),
  }
}

/** The recording of a session that a service keeps, or its tombstone. Throws `not_found`, `service_not_running`. */
export async function verifyKeptSession(sid: string, flags: VerifyFlags): Promise<SessionVerdict> {
  return await withAuthApi(flags, async api => {
    const keys =
      flags.key === undefined
        ? recordingKeys(await api.exportAuthorities({type: 'recording'}))
        : await readKeyFile(flags.key)
    return await verifySession(api, sid, keys)
  }).catch(error => {
    throw withFilesHint(asProblem(error))
  })
}

const withFilesHint = (error: SallyportError): SallyportError =>
  error.code === 'service_not_running'
    ? problem(error.code, error.message, {
        hint: 'name a running one with --data-dir or --proxy, or verify its files: --directory and --key',
        cause: error,
      })
    : error

/** One recording file by itself. No log vouches for it. Throws `not_found`. */
export async function verifyFile(path: string, flags: VerifyFlags): Promise<SessionVerdict> {
  const keys = await keysFor(flags)
  const named = basename(path).replace(/\.cast\.gz$/, '')
  try {
    const index = await readIndex(path, flags.index)
    const options = {
      data: readFileBytes(path),
      keys,
      ...(index && {index}),
      ...(isUuid(named) && {sid: named}),
    }
    return {...(await verifyRecording(options)), vouched: false}
  } catch (error) {
    const {code, message} = asProblem(error)
    // A damaged index is what was to be found out.
    if (code === 'recording_corrupt') return {result: 'bad', reason: message, vouched: false}
    throw error
  }
}

async function keysFor(flags: VerifyFlags): Promise<KeyObject[]> {
  if (flags.key !== undefined) return await readKeyFile(flags.key)
  return recordingKeys(await withAuthApi(flags, api => api.exportAuthorities({type: 'recording'})))
}

/** The index of a session of months. */
const INDEX_BYTES = 256 * 1024 * 1024

/** The index that was named, or the one beside the recording where there is one. */
async function readIndex(path: string, named: string | undefined): Promise<RecordingIndex | undefined> {
  const file = named ?? path.replace(/(\.cast)?(\.gz)?$/, '.index.jsonl')
  const bytes = await readSmallBytes(file, {maxBytes: INDEX_BYTES}).catch(cause => {
    if (named === undefined && isMissing(cause)) return undefined
    throw problem('not_found', `the index ${file} cannot be read`, {cause})
  })
  return bytes && parseIndex(bytes)
}
