import {constants} from 'node:fs'
import {rm} from 'node:fs/promises'
import {z} from 'zod'
import {ifMissing, syncDirectory, writeFileAtomic} from '../../durable/index.js'
import {metaSchema} from '../meta.js'
import type {RecordingHold} from '../types.js'
import {openRegular, type RecordingPaths} from './files.js'

// A legal hold: a file beside the recording, so that it stays with it wherever the store is copied. While it is there the
// recording is removed by nobody. docs/recording-format.md

const FORMAT = 'sallyport-recording-hold'

const schema = z.object({
  format: z.literal(FORMAT),
  version: z.literal(1),
  sid: metaSchema.shape.sid,
  at: z.number().int().nonnegative().max(8.64e15),
  by: z.string(),
  reason: z.string().exactOptional(),
})

/** The hold on a recording, undefined where there is none. A file that cannot be understood holds all the same. */
export async function readHold({hold}: RecordingPaths): Promise<RecordingHold | undefined> {
  const handle = await openRegular(hold, constants.O_RDONLY).catch(ifMissing(undefined))
  if (!handle) return undefined
  try {
    const {at, by, reason} = schema.parse(JSON.parse(await handle.readFile('utf8')))
    return {at, by, ...(reason !== undefined && {reason})}
  } catch {
    // Whoever wrote it meant that the recording stays.
    return {at: 0, by: 'unknown'}
  } finally {
    await handle.close()
  }
}

export const writeHold = ({sid, hold}: RecordingPaths, given: RecordingHold): Promise<void> =>
  writeFileAtomic(hold, `${JSON.stringify({format: FORMAT, version: 1, sid, ...given})}\n`)

export async function removeHold({day, hold}: RecordingPaths): Promise<void> {
  await rm(hold, {force: true})
  await syncDirectory(day)
}
