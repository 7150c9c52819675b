import {randomUUID} from 'node:crypto'
import {join} from 'node:path'
import {isMissing, readSmallFile, writeFileAtomic} from '../../durable/index.js'
import {problem} from '../../errors/index.js'
import {isUuid} from '../../names/index.js'

/**
 * The UUID by which the cluster knows this machine, from `<data-dir>/host_uuid`: made once, kept for ever.
 * @throws store_failed where it cannot be made, and for a file that holds something else
 */
export async function hostUuid(dataDir: string): Promise<string> {
  const path = join(dataDir, 'host_uuid')
  const kept = await read(path)
  if (kept !== undefined) return checked(kept)
  try {
    const made = randomUUID()
    await writeFileAtomic(path, `${made}\n`, {exclusive: true})
    return made
  } catch (cause) {
    // Another service on the same data directory may have been faster.
    const theirs = await read(path)
    if (theirs !== undefined) return checked(theirs)
    throw problem('store_failed', 'the UUID of this machine cannot be kept in the data directory', {cause})
  }
}

async function read(path: string): Promise<string | undefined> {
  try {
    return (await readSmallFile(path)).trim()
  } catch (error) {
    if (isMissing(error)) return undefined
    throw problem('store_failed', 'the UUID of this machine cannot be read', {cause: error})
  }
}

/** A machine that quietly took a new one would be another machine to the cluster. */
function checked(text: string): string {
  if (isUuid(text)) return text
  throw problem('store_failed', 'host_uuid in the data directory holds no UUID', {
    hint: 'restore it from a backup, or remove it to make this machine a new one',
  })
}
