// The recording forwarder: ends one SSH connection, begins another to the target, and records what passes between.
export {type Prepared, prepare} from './admit.js'
export {type Forwarder, forward} from './forwarder.js'
export {type ConnectionGuard, type GuardedConnection, type GuardedPlace, guardedTarget} from './guard.js'
export {identityOf} from './identity.js'
export type {ForwardAuth, ForwardLog, ForwardSettings, Ingress, OuterConnection, Target} from './types.js'
