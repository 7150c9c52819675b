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
  const cache = new Map<string, {identity: Promise<HostIdentity>; expires: number}>()

  const issue = async (key: string, principals: string[]): Promise<HostIdentity> => {
    const publicBlob = await auth.issueProxyHostCertificate({principals, publicKey})
    const entry = cache.get(key)
    if (entry) entry.expires = Number(parseCertificate(publicBlob).validBefore) * 1000
    return {privateKey, publicBlob}
  }
  return {
    for(principals) {
      const key = principals.join('\n')
      const cached = cache.get(key)
      if (cached && cached.expires - now() > renewBeforeMilliseconds) return cached.identity
      cache.delete(key)
      const oldest = cache.keys().next().value
      if (cache.size >= maxCached && oldest !== undefined) cache.delete(oldest)
      const entry = {
        identity: Promise.resolve().then(() => issue(key, [...principals])),
        expires: Number.POSITIVE_INFINITY,
      }
      cache.set(key, entry)
      entry.identity.catch(() => cache.delete(key))
      return entry.identity
    },
  }
}
