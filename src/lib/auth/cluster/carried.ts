/**
 * Connections that proxies carry to the port of the auth service unread, such as those of machines that join through a
 * tunnel port: they seem to come from the proxy.
 */
export interface Carried {
  /** The connection that will be seen to come from `seen` is somebody's at `address`. Both `ip:port`. */
  note(seen: string, address: string): void
  /** Whose it is; told once. */
  take(seen: string): string | undefined
}

/** From the connection to the end of the TLS handshake. */
const noteMilliseconds = 60_000
/** More at a time than the port takes connections. */
const maxNotes = 20_000

/** @param now Unix ms */
export function createCarried(now: () => number): Carried {
  const notes = new Map<string, {address: string; noted: number}>()
  const isStale = (noted: number): boolean => Math.abs(now() - noted) > noteMilliseconds
  return {
    note(seen, address) {
      notes.delete(seen)
      for (const [oldest, {noted}] of notes) {
        if (notes.size < maxNotes && !isStale(noted)) break
        notes.delete(oldest)
      }
      notes.set(seen, {address, noted: now()})
    },
    take(seen) {
      const note = notes.get(seen)
      notes.delete(seen)
      return note && !isStale(note.noted) ? note.address : undefined
    },
  }
}
