import type {KeyObject} from 'node:crypto'
import {publicKeyBlob} from './keys.js'
import {signData} from './signature.js'

/** Something that signs with one key: in memory, in an agent, behind a KMS. */
export interface Signer {
  /** Plain public key blob of the signing key. */
  publicBlob: Buffer
  /** Resolves to an SSH signature blob in the format named by `algorithm` (the key's strongest by default). */
  sign(data: Buffer, algorithm?: string): Promise<Buffer>
}

export const signerFromKey = (key: KeyObject): Signer => ({
  publicBlob: publicKeyBlob(key),
  sign: async (data, algorithm) => signData(key, data, algorithm),
})
