import type {KeyObject} from 'node:crypto'
import {readSmallFile} from '../../durable/index.js'
import {problem} from '../../errors/index.js'
import {recordingKeys} from '../history/recording-keys.js'

/** The public keys in a file, as `auth export --type=recording` writes them. Throws `not_found`, `invalid_input`. */
export async function readKeyFile(path: string): Promise<KeyObject[]> {
  const text = await readSmallFile(path).catch(cause => {
    throw problem('not_found', `the key file ${path} cannot be read`, {cause})
  })
  return recordingKeys(text)
}
