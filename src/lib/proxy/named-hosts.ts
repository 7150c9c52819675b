import {isIP} from 'node:net'
import type {AuthApi} from '../auth/contract.js'
import {problem} from '../errors/index.js'
import {splitAddress} from '../names/index.js'
import {mapParallel, within} from '../waiting/index.js'
import {type DialSettings, resolveTarget} from './dial.js'

/** Hosts that were registered since are known after that. */
const listMilliseconds = 5000
/** What is known of a name is good for so long: a host that moves is found at its new address after that. */
const nameMilliseconds = 60_000
/** Whoever wants to go somewhere waits no longer for the names of all hosts. */
const patienceMilliseconds = 10_000
/** As many as the system's resolver asks about at a time. */
const lookupsAtOnce = 4

/**
 * Registered hosts whose address is a DNS name, by where these names lead. Somebody who asks for such a host by its IP
 * address, or by another name, means that host all the same: what roles say about it must not be walked round.
 */
export interface NamedHosts {
  /**
   * The names that lead to some of these addresses, each with those addresses.
   * @throws unavailable when nobody can say yet, and what the auth service says
   */
  at(addresses: readonly string[]): Promise<ReadonlyMap<string, string[]>>
}

export interface NamedHostsOptions {
  auth: Pick<AuthApi, 'listHosts'>
  dial: Pick<DialSettings, 'lookup'>
  /** Milliseconds that no setting of the clock changes; only differences count. */
  monotonic?: () => number
}

export function createNamedHosts(options: NamedHostsOptions): NamedHosts {
  const {auth, dial, monotonic = () => performance.now()} = options
  let known: ReadonlyMap<string, Place> | undefined
  let listed = Number.NEGATIVE_INFINITY
  let refreshing: Promise<void> | undefined

  const lookAt = async (name: string): Promise<Place> => {
    const before = known?.get(name)
    const at = monotonic()
    if (before && at - before.at < nameMilliseconds) return before
    const {addresses, failure} = await resolveTarget(name, dial)
    // A name that does not resolve for a moment leads where it led before.
    return {at, addresses: failure ? (before?.addresses ?? []) : addresses}
  }
  const refresh = async (): Promise<void> => {
    const begun = monotonic()
    const names = namesToLookUp(await auth.listHosts({}))
    known = new Map(
      await mapParallel(names, lookupsAtOnce, async name => [name, await lookAt(name)] as const),
    )
    listed = begun
  }
  const current = async (): Promise<ReadonlyMap<string, Place>> => {
    if (known && monotonic() - listed < listMilliseconds) return known
    refreshing ??= refresh().finally(() => {
      refreshing = undefined
    })
    const failure = await withPatience(refreshing)
    // What is a little old is better than nothing at all.
    if (known) return known
    throw failure ?? notYet()
  }
  return {
    async at(addresses) {
      const wanted = new Set(addresses)
      const leading = new Map<string, string[]>()
      for (const [name, place] of await current()) {
        const fitting = place.addresses.filter(address => wanted.has(address))
        if (fitting.length > 0) leading.set(name, fitting)
      }
      return leading
    },
  }
}

/** Where a name leads, and when it was looked at. */
interface Place {
  addresses: readonly string[]
  at: number
}

const namesToLookUp = (hosts: Awaited<ReturnType<AuthApi['listHosts']>>): string[] => {
  const places = hosts.flatMap(({subKind, address = ''}) =>
    subKind === 'openssh' ? (splitAddress(address)?.host ?? []) : [],
  )
  return [...new Set(places)].filter(place => isIP(place) === 0)
}

const notYet = () =>
  problem('unavailable', 'the names of registered hosts are still being looked up', {
    hint: 'try again in a moment, or ask for the host by its name',
  })

/** Why it failed; undefined when it did not, or takes too long. Never rejects. */
async function withPatience(work: Promise<void>): Promise<unknown> {
  const failed = work.then(
    () => undefined,
    (error: unknown) => error,
  )
  return await within(patienceMilliseconds, failed, () => undefined)
}
