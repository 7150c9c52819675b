// The SSH server of a host that runs Sallyport itself: sessions as the login user, ports, its own record where no
// proxy keeps it. start.ts listens, connection.ts serves one client, session.ts one session; process/ knows no SSH.
export {type Node, type NodeOptions, startNode} from './start.js'
