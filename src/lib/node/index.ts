// The SSH server of a host that runs Sallyport itself: sessions as the login user, ports, its own record where no
// proxy keeps it. start.ts listens, connection.ts serves one client, session.ts one session; process/ knows no SSH.
export {startHostNode} from './host-node.js'
export type {Node} from './start.js'
export type {NodeAuth} from './types.js'
