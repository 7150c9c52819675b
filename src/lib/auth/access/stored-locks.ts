import type {Lock} from '../../access/index.js'
import type {Backend} from '../../backend/index.js'
import {watchState} from '../cluster/watch-state.js'
import type {Records, StoredLock} from '../records.js'

const prefix = 'locks'

/** The locks there are. Those that have expired are not among them. */
export interface StoredLocks {
  list(): Promise<Lock[]>
  /**
   * All locks in force: at once, and again whenever they have changed. Whoever is slow gets the newest state, and none
   * of those between; whoever begins again misses nothing. Ends with the signal.
   */
  watch(signal: AbortSignal): AsyncIterable<Lock[]>
  records: Records<StoredLock>
}

export function createStoredLocks(backend: Backend, records: Records<StoredLock>): StoredLocks {
  const list = async (): Promise<Lock[]> =>
    (await records.entries())
      .sort((a, b) => a.revision - b.revision)
      .map(({id, value: {version: _, ...lock}}) => lockOf({id, ...lock}))
  return {
    list,
    records,
    watch: signal => watchState({backend, prefixes: [`${prefix}/`], read: list, signal}),
  }
}

type Absent<T> = {[K in keyof T]: T[K] | undefined}

/** A lock without the keys that have no value. */
export const lockOf = ({
  message,
  expires,
  ...lock
}: Absent<Lock> & Omit<Lock, 'message' | 'expires'>): Lock => ({
  ...lock,
  ...(message === undefined ? {} : {message}),
  ...(expires === undefined ? {} : {expires}),
})
