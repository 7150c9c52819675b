import {generateKeyPairSync, type KeyObject} from 'node:crypto'
import type {AuthApi} from '../auth/contract.js'
import {isAway} from '../errors/index.js'
import {HOUR_MS} from '../names/index.js'
import {type HostIdentity, type HostKeyStore, type KeptIdentity, keptIdentities, pemOf} from '../ssh/index.js'
import {parseCertificate, publicKeyBlob} from '../sshcert/index.js'

/** Names come from clients, so what is kept for them is bounded. */
const maxCached = 1000
/** A certificate this close to its end is not handed out any more. */
const renewBeforeMilliseconds = 10 * 60_000

/** A spare identity with less than this before it is replaced; they live for a day. */
const spareMilliseconds = 13 * HOUR_MS
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
 * rest of the handshake. A proxy that begins while nobody issues any goes on with those of the process before.
 */
export function createHostCertificates(
  auth: Pick<AuthApi, 'issueProxyHostCertificate'>,
  now: () => number,
  store?: HostKeyStore,
): HostCertificates {
  const begun = store?.begun ? keptIdentities(store.begun, now() + renewBeforeMilliseconds) : []
  const privateKey: KeyObject = begun[0]?.identity.privateKey ?? generateKeyPairSync('ed25519').privateKey
  const publicKey = publicKeyBlob(privateKey)
  const cache = new Map<string, Entry>(
    begun.map(kept => [keyOf(kept.principals), {identity: Promise.resolve(kept.identity), issued: kept}]),
  )
  const spares = new Map<string, KeptIdentity>(begun.map(kept => [keyOf(kept.principals), kept]))

  const keep = (): Promise<void> | undefined =>
    store?.keep(() => ({
      privateKey: pemOf(privateKey),
      certificates: blobsOf([...spares.values(), ...[...cache.values()].flatMap(({issued = []}) => issued)]),
    }))
  const issue = async (principals: readonly string[]): Promise<KeptIdentity> => {
    const publicBlob = await auth.issueProxyHostCertificate({principals: [...principals], publicKey})
    const expires = Number(parseCertificate(publicBlob).validBefore) * 1000
    return {identity: {privateKey, publicBlob}, principals, expires}
  }
  const start = (principals: readonly string[]): Entry => {
    const key = keyOf(principals)
    const issuing = issue(principals)
    const entry: Entry = {identity: issuing.then(({identity}) => identity)}
    issuing.then(
      issued => {
        entry.issued = issued
        void keep()
      },
      // The next one who asks tries again.
      () => cache.get(key) === entry && cache.delete(key),
    )
    return entry
  }
  const isGood = ({issued}: Entry): boolean => !issued || issued.expires - now() > renewBeforeMilliseconds
  const spareFor = (names: readonly string[]): HostIdentity | undefined =>
    [...spares.values()].find(
      ({principals, expires}) => expires > now() && names.every(name => principals.includes(name)),
    )?.identity
  return {
    async keepSpares(groups) {
      const wanted = new Map(groups.slice(0, maxSpares).map(names => [keyOf(names), names]))
      for (const key of spares.keys()) if (!wanted.has(key)) spares.delete(key)
      try {
        for (const [key, names] of wanted) {
          const spare = spares.get(key)
          if (!spare || spare.expires - now() <= spareMilliseconds) spares.set(key, await issue(names))
        }
      } finally {
        await keep()
      }
    },
    for(principals) {
      const key = keyOf(principals)
      const cached = cache.get(key)
      const entry = cached && isGood(cached) ? cached : start(principals)
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

const keyOf = (principals: readonly string[]): string => principals.join('\n')

const blobsOf = (all: readonly KeptIdentity[]): Buffer[] => [
  ...new Set(all.map(({identity: {publicBlob}}) => publicBlob)),
]

interface Entry {
  identity: Promise<HostIdentity>
  /** Absent as long as it is being issued. */
  issued?: KeptIdentity
}
