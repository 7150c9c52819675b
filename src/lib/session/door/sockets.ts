import type {Server, Socket} from 'node:net'
import {problem} from '../../errors/index.js'
import {type Address, formatAddress} from '../../names/index.js'
import type {Log} from '../types.js'

/** Both ends of a client's connection. */
export interface Ends {
  /** `ip:port`, `[ipv6]:port` */
  remoteAddress: string
  localAddress: string
  /** The client's address alone, by which certificates are judged. */
  remoteIp: string
}

/** Both ends of a TCP connection; an IPv4 address that IPv6 carries is written as what it is. */
export function endsOf(socket: Socket): Ends {
  const plain = (address = ''): string => address.replace(/^::ffff:/i, '')
  const remoteIp = plain(socket.remoteAddress)
  return {
    remoteIp,
    remoteAddress: formatAddress({host: remoteIp, port: socket.remotePort ?? 0}),
    localAddress: formatAddress({host: plain(socket.localAddress), port: socket.localPort ?? 0}),
  }
}

/** Begins to listen; port 0 picks a free one. @throws the listen error, e.g. EADDRINUSE */
export function listenAt(server: Server, {host, port}: Address, log: Log): Promise<Address> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.removeListener('error', reject)
      // Without descriptors there are no new connections for a while; those there are go on.
      server.on('error', error => log.warn({error: error.message}, 'a connection could not be accepted'))
      const address = server.address()
      if (address === null || typeof address === 'string')
        return reject(problem('internal', 'no TCP address'))
      resolve({host: address.address, port: address.port})
    })
  })
}
