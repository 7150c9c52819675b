import type {Duplex} from 'node:stream'

/** Connections that have not logged in yet. */
export interface Newcomers {
  /** Makes room where there is none: whoever has waited longest goes, which is never one that logs in as clients do. */
  arrive(socket: Duplex, address: string): void
  /** Logged in, or gone. */
  leave(socket: Duplex): void
}

/**
 * Bounds how many connections may be open that nobody has logged in on, from one address and in all. Refusing those that
 * come would let silent ones keep everybody out; so the oldest gives way.
 */
export function createNewcomers({perAddress, inAll}: {perAddress: number; inAll: number}): Newcomers {
  const addresses = new Map<Duplex, string>()
  const counts = new Map<string, number>()
  const leave = (socket: Duplex): void => {
    const address = addresses.get(socket)
    if (address === undefined) return
    addresses.delete(socket)
    const count = (counts.get(address) ?? 1) - 1
    if (count > 0) counts.set(address, count)
    else counts.delete(address)
  }
  const oldest = (fits: (address: string) => boolean): Duplex | undefined => {
    for (const [socket, address] of addresses) if (fits(address)) return socket
    return undefined
  }
  const evict = (socket: Duplex | undefined): void => {
    if (!socket) return
    leave(socket)
    socket.destroy()
  }
  return {
    arrive(socket, address) {
      if ((counts.get(address) ?? 0) >= perAddress) evict(oldest(other => other === address))
      if (addresses.size >= inAll) evict(oldest(() => true))
      addresses.set(socket, address)
      counts.set(address, (counts.get(address) ?? 0) + 1)
      socket.once('close', () => leave(socket))
    },
    leave,
  }
}
