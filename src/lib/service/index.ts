// `start`: the services of one machine in one process, from a Config to an orderly end. `parts` has one file a service,
// `identity` what this machine is in its cluster, `kept` what it knows of the cluster while the auth service is away.
export {type Addresses, addressLines} from './addresses.js'
export {addressesFile} from './data-dir.js'
export {type RunOptions, runService} from './run.js'
export {type Service, type StartOptions, startService} from './start.js'
