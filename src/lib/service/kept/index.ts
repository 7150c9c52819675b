// What a role apart keeps on disk to begin with while the auth service is away: the state of the cluster, with its age, and
// its host key with certificates. Sealed: of this cluster and this machine alone. The format: docs/storage.md.
export {machineClock} from './age.js'
export {type KeptCluster, type KnownCluster, keepCluster} from './cluster.js'
export {keepHostKeys} from './host-keys.js'
export type {Owner} from './seal.js'
