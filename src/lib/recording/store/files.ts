import {constants} from 'node:fs'
import {type FileHandle, lstat, open, readdir, rm} from 'node:fs/promises'
import {join} from 'node:path'
import {errnoOf, ifMissing, syncDirectory, systemErrorWords, writeFileAtomic} from '../../durable/index.js'
import {problem, SallyportError} from '../../errors/index.js'
import {isUuid} from '../../names/index.js'
import {requireSid} from '../meta.js'

// Where the files of a directory store are, and the only ways they are opened: by names built from checked session
// IDs, never through a symbolic link, regular files alone.

export interface RecordingPaths {
  sid: string
  day: string
  data: string
  index: string
  /** What was on the screen, for searching; derived from the data. */
  screen: string
  /** There while the recording is under legal hold. */
  hold: string
  /** The tombstone that it is about to have: there from the decision to remove it until that is on record. */
  removing: string
  /** There once the recording was removed, whatever else is still there. */
  tombstone: string
}

/** Paths of a recording that begins at `at` (Unix ms). Throws `invalid_input` for what is no session ID. */
export const recordingPaths = (directory: string, sid: string, at: number): RecordingPaths =>
  pathsIn(join(directory, new Date(at).toISOString().slice(0, 10)), sid)

function pathsIn(day: string, sid: string): RecordingPaths {
  requireSid(sid)
  return {
    sid,
    day,
    data: join(day, `${sid}.cast.gz`),
    index: join(day, `${sid}.index.jsonl`),
    screen: join(day, `${sid}.screen.gz`),
    hold: join(day, `${sid}.hold.json`),
    removing: join(day, `${sid}.removing.jsonl`),
    tombstone: join(day, `${sid}.removed.jsonl`),
  }
}

/** Day directories, newest first. Links are not followed. */
export async function listDays(directory: string): Promise<string[]> {
  const entries = await readdir(directory, {withFileTypes: true})
  return entries
    .filter(entry => entry.isDirectory() && /^\d{4}-\d{2}-\d{2}$/.test(entry.name))
    .map(entry => join(directory, entry.name))
    .sort()
    .reverse()
}

/** Recordings of one day that are not marked as damaged, in no order. */
export async function listSoundOf(day: string): Promise<RecordingPaths[]> {
  const names = new Set(await readdir(day))
  return (await listRecordingsOf(day)).filter(({sid}) => !names.has(damageMark(sid)))
}

const damageMark = (sid: string): string => `${sid}.damaged.json`

/** Notes for good that a recording is damaged, and how. */
export const markDamaged = ({day, sid}: RecordingPaths, reason: string): Promise<void> =>
  writeFileAtomic(join(day, damageMark(sid)), `${JSON.stringify({sid, reason})}\n`)

export const isMarkedDamaged = ({day, sid}: RecordingPaths): Promise<boolean> =>
  exists(join(day, damageMark(sid)))

/** Recordings of one day, in no order. */
export async function listRecordingsOf(day: string): Promise<RecordingPaths[]> {
  const entries = await readdir(day, {withFileTypes: true})
  const removed = new Set(entries.flatMap(({name}) => sidOf(name, '.removed.jsonl') ?? []))
  return entries.flatMap(entry => {
    const sid = sidOf(entry.name, '.index.jsonl')
    return sid !== undefined && entry.isFile() && !removed.has(sid) ? [pathsIn(day, sid)] : []
  })
}

/** Recordings of one day whose removal was decided and may not be on record yet. */
export const listRemovingOf = async (day: string): Promise<RecordingPaths[]> =>
  (await readdir(day)).flatMap(name => {
    const sid = sidOf(name, '.removing.jsonl')
    return sid === undefined ? [] : [pathsIn(day, sid)]
  })

/** What was removed of one day, and whether files of it are left. */
export async function listRemovedOf(day: string): Promise<{paths: RecordingPaths; unfinished: boolean}[]> {
  const names = await readdir(day)
  const indexes = new Set(names.flatMap(name => sidOf(name, '.index.jsonl') ?? []))
  return names
    .flatMap(name => sidOf(name, '.removed.jsonl') ?? [])
    .map(sid => ({paths: pathsIn(day, sid), unfinished: indexes.has(sid)}))
}

/** Session IDs of the recordings of one day that are under legal hold. */
export const listHeldOf = async (day: string): Promise<Set<string>> =>
  new Set((await readdir(day)).flatMap(name => sidOf(name, '.hold.json') ?? []))

const sidOf = (name: string, ending: string): string | undefined => {
  const sid = name.endsWith(ending) ? name.slice(0, -ending.length) : ''
  return isUuid(sid) ? sid : undefined
}

const exists = async (path: string): Promise<boolean> => {
  const found = await lstat(path).catch(ifMissing(undefined))
  return found !== undefined
}

export const isRemoved = ({tombstone}: RecordingPaths): Promise<boolean> => exists(tombstone)

export const isBeingRemoved = ({removing}: RecordingPaths): Promise<boolean> => exists(removing)

/** Looks for the recording of a session, newest day first; undefined when there is none. */
export async function findRecording(directory: string, sid: string): Promise<RecordingPaths | undefined> {
  requireSid(sid)
  for (const day of await listDays(directory)) {
    const paths = pathsIn(day, sid)
    const handle = await openRegular(paths.index, constants.O_RDONLY).catch(ifMissing(undefined))
    if (!handle) continue
    await handle.close()
    // Removed, and its last files are on their way.
    if (!(await isRemoved(paths))) return paths
  }
  return undefined
}

/** Looks for what stayed of a recording that was removed, newest day first. */
export async function findRemoved(directory: string, sid: string): Promise<RecordingPaths | undefined> {
  requireSid(sid)
  for (const day of await listDays(directory)) {
    const paths = pathsIn(day, sid)
    if (await isRemoved(paths)) return paths
  }
  return undefined
}

/** Takes away everything of a recording but its index, its hold and its tombstone; the index says that there is more to do. */
export async function removeContent({day, sid, data, screen}: RecordingPaths): Promise<void> {
  for (const path of [data, screen, `${screen}.tmp`, join(day, damageMark(sid))])
    await rm(path, {force: true})
  await syncDirectory(day)
}

/** Takes away what crashes left of files of these recordings that were being written. */
export async function removeTemporary(day: string, sids: ReadonlySet<string>): Promise<void> {
  for (const name of await readdir(day))
    if (name.endsWith('.tmp') && sids.has(name.slice(0, name.indexOf('.'))))
      await rm(join(day, name), {force: true})
}

/** Opens a file that must be a regular one; a link or a device is an error. */
export async function openRegular(path: string, flags: number, mode = 0o600): Promise<FileHandle> {
  const handle = await open(path, flags | constants.O_NOFOLLOW | constants.O_NONBLOCK, mode)
  if ((await handle.stat()).isFile()) return handle
  await handle.close()
  throw problem('store_failed', 'an entry of the recording store is not a regular file')
}

/**
 * Makes the two files of a new recording durable. The index comes last, and whole or not at all: where it is, there is a
 * recording. A failure leaves neither.
 */
export async function createFiles(paths: RecordingPaths, firstLine: string): Promise<void> {
  const {O_WRONLY, O_CREAT, O_TRUNC} = constants
  const handle = await openRegular(paths.data, O_WRONLY | O_CREAT | O_TRUNC)
  try {
    await handle.sync()
    await writeFileAtomic(paths.index, firstLine, {exclusive: true})
  } catch (error) {
    // The link may have been made before the failure; one that was there before is not ours to remove.
    if (errnoOf(error) !== 'EEXIST') {
      await rm(paths.index, {force: true})
      await rm(paths.data, {force: true})
    }
    throw error
  } finally {
    await handle.close()
  }
}

/** Makes `bytes` durable at `offset`; whatever an earlier failure left from there on goes. */
export async function writeSyncedAt(path: string, offset: number, bytes: Uint8Array): Promise<void> {
  const handle = await openRegular(path, constants.O_WRONLY)
  try {
    const {size} = await handle.stat()
    if (size < offset) throw problem('store_failed', 'a file of the recording store has become shorter')
    for (let done = 0; done < bytes.length; ) {
      const {bytesWritten} = await handle.write(bytes, done, bytes.length - done, offset + done)
      done += bytesWritten
    }
    // Only now: a crash while the same bytes are written again must not take away what was there.
    if (size > offset + bytes.length) await handle.truncate(offset + bytes.length)
    await handle.datasync()
  } finally {
    await handle.close()
  }
}

/** Bytes of a file from `from` up to `to`, in pieces of 64 kB, at the pace of the reader. */
export async function* readRange(path: string, from: number, to: number): AsyncGenerator<Buffer> {
  const handle = await openRegular(path, constants.O_RDONLY)
  try {
    for (let at = from; at < to; ) {
      const buffer = Buffer.allocUnsafe(Math.min(64 * 1024, to - at))
      const {bytesRead} = await handle.read(buffer, 0, buffer.length, at)
      if (bytesRead === 0) return
      at += bytesRead
      yield buffer.subarray(0, bytesRead)
    }
  } finally {
    await handle.close()
  }
}

/** Runs `step`; an error of the operating system becomes `store_failed` in words without paths. */
export async function storeStep<T>(step: () => Promise<T>): Promise<T> {
  try {
    return await step()
  } catch (error) {
    if (error instanceof SallyportError) throw error
    throw problem('store_failed', `the recording store failed: ${systemErrorWords(error)}`, {cause: error})
  }
}
