import {constants} from 'node:fs'
import {open} from 'node:fs/promises'
import {isMissing, systemErrorWords} from '../../durable/index.js'
import {type Opened, type Owner, unseal} from './seal.js'

/** The payload of a kept file, or why there is none. */
export async function readKept(path: string, owner: Owner, maxBytes: number): Promise<Opened> {
  try {
    const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW)
    try {
      const {size} = await handle.stat()
      if (size > maxBytes) return {ok: false, reason: 'it is damaged'}
      return unseal(owner, await handle.readFile('utf8'))
    } finally {
      await handle.close()
    }
  } catch (error) {
    return {
      ok: false,
      reason: isMissing(error) ? 'there is none' : `it cannot be read: ${systemErrorWords(error)}`,
    }
  }
}
