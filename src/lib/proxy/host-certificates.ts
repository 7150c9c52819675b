import {generateKeyPairSync, type KeyObject} from 'node:crypto'
import type {AuthApi} from '../auth/contract.js'
import type {HostIdentity} from '../ssh/index.js'
import {parseCertificate, publicKeyBlob} from '../sshcert/index.js'

/** Names come from clients, so what is kept for them is bounded. */
const maxCached = 1000
/** A certificate this close to its end is not handed out any more. */
const renewBeforeMilliseconds = 10 * 60_000

export interface HostCertificates {
  /** The identity by which the proxy stands for these names. */
  for(principals: readonly string[]): Promise<HostIdentity>
}

/**
 * Host certificates of the proxy, one key for all of them: making a key for every connection would cost more than the
 * rest of the handshake.
 */
export function createHostCertificates(
  auth: Pick<AuthApi, 'issueProxyHostCertificate'>,
  now: () => number,
): HostCertificates {
  const privateKey: KeyObject = generateKeyPairSync('ed25519').privateKey
  const publicKey = publicKeyBlob(privateKey)
  const cache = new Map<string, Entry>()

  const issue = async (principals: string[]): Promise<{identity: HostIdentity; expires: number}> => {
    const publicBlob = await auth.issueProxyHostCertificate({principals, publicKey})
    const expires = Number(parseCertificate(publicBlob).validBefore) * 1000
    return {identity: {privateKey, publicBlob}, expires}
  }
  const start = (key: string, principals: string[]): Entry => {
    const issuing = issue(principals)
    const entry: Entry = {
      identity: issuing.then(({identity}) => identity),
      expires: Number.POSITIVE_INFINITY,
    }
    issuing.then(
      ({expires}) => {
        entry.expires = expires
      },
      // The next one who asks tries again.
      () => cache.get(key) === entry && cache.delete(key),
    )
    return entry
  }
  return {
    for(principals) {
      const key = principals.join('\n')
      const cached = cache.get(key)
      const valid = cached && cached.expires - now() > renewBeforeMilliseconds
      const entry = valid ? cached : start(key, [...principals])
      // At the end of the line again: names in use outlast those that somebody tried once.
      cache.delete(key)
      const oldest = cache.keys().next().value
      if (cache.size >= maxCached && oldest !== undefined) cache.delete(oldest)
      cache.set(key, entry)
      return entry.identity
    },
  }
}

interface Entry {
  identity: Promise<HostIdentity>
  /** Unix milliseconds; infinite as long as it is not known. */
  expires: number
}
