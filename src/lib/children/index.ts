// Programs that this process starts. Everybody who starts one in a process that may be a node's says here what it
// finds open: terminals of sessions are not for anybody else.
export {type Guarded, type GuardedStdio, guardDescriptor, guardedStdio} from './descriptors.js'
export {type Finished, runToEnd} from './run.js'
