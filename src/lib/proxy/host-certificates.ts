import {generateKeyPairSync, type KeyObject} from 'node:crypto'
import type {AuthApi} from '../auth/contract.js'
import {asProblem} from '../errors/index.js'
import type {HostIdentity} from '../ssh/index.js'
import {parseCertificate, publicKeyBlob} from '../sshcert/index.js'

/** Names come from clients, so what is kept for them is bounded. */
const maxCached = 1000
/** A certificate this close to its end is not handed out any more. */
const renewBeforeMilliseconds = 10 * 60_000

/** A spare identity with less than this before it is replaced; they live for a day. */
const spareMilliseconds = 13 * 3_600_000
/** Each spare stands in for one host: nobody is shown the names of others. */
const maxSpares = 1000

export interface HostCertificates {
  /** The identity by which the proxy stands for these names. */
  for(principals: readonly string[]): Promise<HostIdentity>
  /** Gets identities for these groups of names, to fall back on for half a day while nobody issues any. */
  keepSpares(groups: readonly (readonly string[])[]): Promise<void>
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
  const spares = new Map<string, Spare>()

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
  const spareFor = (principals: readonly string[]): HostIdentity | undefined =>
    [...spares.values()].find(
      ({names, expires}) => expires > now() && principals.every(name => names.includes(name)),
    )?.identity
  return {
    async keepSpares(groups) {
      const wanted = groups.slice(0, maxSpares).map(names => ({names, key: names.join('\n')}))
      const keys = new Set(wanted.map(({key}) => key))
      for (const key of spares.keys()) if (!keys.has(key)) spares.delete(key)
      for (const {names, key} of wanted) {
        const spare = spares.get(key)
        if (spare && spare.expires - now() > spareMilliseconds) continue
        spares.set(key, {names, ...(await issue([...names]))})
      }
    },
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
      return entry.identity.catch((error: unknown) => {
        const spare = isAway(error) ? spareFor(principals) : undefined
        if (spare) return spare
        throw error
      })
    },
  }
}

const isAway = (error: unknown): boolean => {
  const {code} = asProblem(error)
  return code === 'unavailable' || code === 'timeout'
}

interface Spare {
  names: readonly string[]
  identity: HostIdentity
  /** Unix milliseconds. */
  expires: number
}

interface Entry {
  identity: Promise<HostIdentity>
  /** Unix milliseconds; infinite as long as it is not known. */
  expires: number
}
