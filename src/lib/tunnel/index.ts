// Reverse tunnels: SSH connections that a machine behind NAT opens to a proxy and keeps open, so that the proxy can open
// channels back through them. The proxy's end is server.ts, the other one keep.ts.
export {
  type ForeignDial,
  foreignChannel,
  foreignEndRequest,
  readForeignDial,
  writeForeignTerms,
} from './foreign.js'
export {keepTunnel, type Tunnel, type TunnelOptions} from './keep.js'
export type {TunnelPeer, TunnelTrust} from './peer.js'
export {type ForeignWay, startTunnels, type Tunnels, type TunnelsOptions} from './server.js'
export {acceptTransport, type Transport} from './transport.js'
