import type {HostRecord} from '../../access/index.js'
import type {Backend} from '../../backend/index.js'
import {problem} from '../../errors/index.js'
import {DAY_MS, hostOfAddress} from '../../names/index.js'
import {hostSchema, type Records, type StoredHost} from '../records.js'

const prefix = 'hosts'

/** A node beats about every five minutes; one that was silent for two beats is offline. */
const onlineMilliseconds = 10 * 60_000
/** A node that is offline stays in listings for so long: a machine that is down must not look like one never known. */
export const rememberedMilliseconds = 7 * DAY_MS

/**
 * The hosts there are: nodes that beat, and registered ones. Read from the state once and kept in memory, by name and by
 * address, so that a connection costs no look through thousands of them.
 */
export interface Inventory {
  get(id: string): Promise<HostRecord | undefined>
  /** All, by name. */
  list(): Promise<HostRecord[]>
  /** Those that have this as their UUID, name or the host of their address. */
  matching(names: readonly string[]): Promise<HostRecord[]>
  records: Records<StoredHost>
}

interface Entry {
  host: HostRecord
  revision: number
  keys: string[]
}

export function createInventory(
  backend: Backend,
  records: Records<StoredHost>,
  now: () => number,
): Inventory {
  const entries = new Map<string, Entry>()
  const byKey = new Map<string, Set<string>>()
  let loading: Promise<void> | undefined

  const drop = (id: string): void => {
    for (const key of entries.get(id)?.keys ?? []) {
      const ids = byKey.get(key)
      ids?.delete(id)
      if (ids?.size === 0) byKey.delete(key)
    }
    entries.delete(id)
  }
  const take = (id: string, stored: StoredHost, revision: number): void => {
    if ((entries.get(id)?.revision ?? 0) > revision) return
    drop(id)
    const host = hostOf(id, stored)
    const keys = [...new Set(indexKeys(host))]
    entries.set(id, {host, revision, keys})
    for (const key of keys) byKey.set(key, (byKey.get(key) ?? new Set()).add(id))
  }
  const load = async (): Promise<void> => {
    const deleted = new Map<string, number>()
    backend.watch(`${prefix}/`, event => {
      const id = event.key.slice(prefix.length + 1)
      if (event.type === 'put') return take(id, decode(event.value), event.revision)
      deleted.set(id, event.revision)
      drop(id)
    })
    for (const {id, value, revision} of await records.entries())
      if ((deleted.get(id) ?? 0) < revision) take(id, value, revision)
    deleted.clear()
  }
  const ready = (): Promise<void> => {
    loading ??= load().catch(error => {
      loading = undefined
      throw error
    })
    return loading
  }
  /** What has expired is gone before the state is cleared of it. */
  const isRemembered = ({lastSeen}: HostRecord): boolean =>
    lastSeen === undefined || lastSeen + rememberedMilliseconds > now()
  const known = (ids: Iterable<string>): HostRecord[] =>
    [...ids].flatMap(id => entries.get(id)?.host ?? []).filter(isRemembered)
  return {
    async get(id) {
      await ready()
      return known([id])[0]
    },
    async list() {
      await ready()
      return known(entries.keys()).sort(byName)
    },
    async matching(names) {
      await ready()
      return known(new Set(names.flatMap(name => [...(byKey.get(name) ?? [])])))
    },
    records,
  }
}

const byName = (a: HostRecord, b: HostRecord): number =>
  a.hostname === b.hostname ? (a.id < b.id ? -1 : 1) : a.hostname < b.hostname ? -1 : 1

/** The host of an address stands without its port, as people type it. */
export const indexKeys = ({id, hostname, names = [], address = ''}: HostRecord): string[] => [
  id,
  hostname,
  ...names,
  hostOfAddress(address),
]

function decode(value: Buffer): StoredHost {
  const parsed = hostSchema.safeParse(JSON.parse(value.toString('utf8')))
  if (parsed.success) return parsed.data
  throw problem('store_failed', 'a stored host cannot be read', {cause: parsed.error})
}

/** As everybody sees it; a node's `expires` is when it counts as offline. */
const hostOf = (id: string, stored: StoredHost): HostRecord => {
  const {subKind, hostname, names, labels, address, tunnel, release, lastSeen, registered} = stored
  return {
    ...{id, subKind, hostname, labels},
    ...(names !== undefined && {names}),
    ...(address !== undefined && {address}),
    ...(tunnel !== undefined && {tunnel}),
    ...(release !== undefined && {version: release}),
    ...(lastSeen !== undefined && {lastSeen, expires: lastSeen + onlineMilliseconds}),
    ...(registered !== undefined && {registered}),
  }
}
