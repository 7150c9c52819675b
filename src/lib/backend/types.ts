/** One stored value. */
export interface Item {
  key: string
  value: Buffer
  /** Grows with every write to the backend; names this version of the value. */
  revision: number
  /** Unix ms from which on the item no longer exists. */
  expires?: number
}

/** What `watch` reports, after the write is durable. An item that expires is reported when it is cleared away. */
export type BackendEvent =
  | {type: 'put'; key: string; value: Buffer; revision: number}
  | {type: 'delete'; key: string; revision: number}

/** One step of a transaction. `create` demands that there is no such item, `revision` that it is that version. */
export type Write =
  | {type: 'create' | 'put'; key: string; value: Buffer; expires?: number}
  | {type: 'cas'; key: string; revision: number; value: Buffer; expires?: number}
  | {type: 'delete'; key: string; revision?: number}

export interface RangeOptions {
  /** At most this many items, in the order of their keys. Default and most: 1000. */
  limit?: number
  /** Only keys after this one: the last key of the page before. */
  after?: string
}

export interface Lifetime {
  /** Unix ms; an item without it stays until it is deleted. */
  expires?: number
}

/**
 * Where the auth service keeps its state: a map of keys to bytes, in which every acknowledged write survives a crash
 * and is either there whole or not at all.
 *
 * A condition that does not hold is an answer, `undefined`, and changes nothing; it is what races end in. Errors are
 * `invalid_input` for keys and values out of bounds and `store_failed` for the disk.
 */
export interface Backend {
  /** Resolves to the revision, or undefined when the item exists. */
  create(key: string, value: Buffer, lifetime?: Lifetime): Promise<number | undefined>
  put(key: string, value: Buffer, lifetime?: Lifetime): Promise<number>
  /** Replaces the item if it still has this revision; otherwise undefined. Keeps no earlier expiry. */
  cas(key: string, revision: number, value: Buffer, lifetime?: Lifetime): Promise<number | undefined>
  get(key: string): Promise<Item | undefined>
  /** Items whose key begins with `prefix`. */
  range(prefix: string, options?: RangeOptions): Promise<Item[]>
  /** Whether there was such an item. */
  delete(key: string): Promise<boolean>
  /** All of the writes or none; resolves to their revision, or undefined when a condition does not hold. */
  transaction(writes: readonly Write[]): Promise<number | undefined>
  /** Calls `listener` for each write under `prefix`, in the order of revisions, until the returned function is called. */
  watch(prefix: string, listener: (event: BackendEvent) => void): () => void
  close(): Promise<void>
}
