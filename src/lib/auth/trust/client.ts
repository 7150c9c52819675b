import {problem} from '../../errors/index.js'
import type {EstablishTrust} from '../context.js'
import {askPinned} from '../join/client.js'

/** Asks a root over the network, at its tunnel port, to take this cluster for a leaf. `now`: Unix ms. */
export const askRoot =
  (now: () => number): EstablishTrust =>
  ({address, pins}, request) => {
    const [, host, port] = /^\[?(.*?)\]?:(\d+)$/.exec(address) ?? []
    if (host === undefined) throw problem('invalid_input', 'the address of the other cluster is host:port')
    const server = {host, port: Number(port)}
    return askPinned({server, pins, insecure: false, now}, api => api.establishTrust(request))
  }
