// Reverse tunnels: SSH connections that a machine behind NAT opens to a proxy and keeps open, so that the proxy can open
// channels back through them. The proxy's end is server.ts, the other one keep.ts.
export {type FirstProtocol, firstProtocol} from './first-bytes.js'
export {keepTunnel, type Tunnel, type TunnelOptions} from './keep.js'
export {judgeTunnelPeer, type TunnelPeer, type TunnelTrust} from './peer.js'
export {startTunnels, type Tunnels, type TunnelsOptions} from './server.js'
export {readTransport, type Transport, transportChannel} from './transport.js'
