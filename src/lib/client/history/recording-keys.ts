import {createPublicKey, type KeyObject} from 'node:crypto'
import {problem} from '../../errors/index.js'
import {parseAuthorizedKey, publicKeyFromBlob} from '../../sshcert/index.js'

/**
 * Public keys in the text of an export or a file: a line each as in authorized_keys, or one PEM. Throws
 * `invalid_input` for text without a key and for a line that is none.
 */
export function recordingKeys(text: string): KeyObject[] {
  if (text.trimStart().startsWith('-----BEGIN')) return [pemKey(text)]
  const lines = text.split('\n').filter(line => line.trim() !== '' && !line.startsWith('#'))
  if (lines.length === 0) throw problem('invalid_input', 'there is no public key to verify with')
  return lines.map(line => publicKeyFromBlob(parseAuthorizedKey(line).blob))
}

function pemKey(text: string): KeyObject {
  try {
    return createPublicKey(text)
  } catch (cause) {
    throw problem('invalid_input', 'the file of the public key holds no PEM of a public key', {cause})
  }
}
