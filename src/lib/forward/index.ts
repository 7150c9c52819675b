// The recording forwarder: ends one SSH connection, begins another to the target, and records what passes between.
export {type Prepared, prepare} from './admit.js'
export {forward} from './forwarder.js'
export {judgeHostKey} from './host-key.js'
export {serverFacts} from './server-facts.js'
export type {ForwardAuth, ForwardSettings, Ingress, OuterConnection, Target} from './types.js'
