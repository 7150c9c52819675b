// Programs that this process starts. Everybody who starts one in a process that may be a node's says here what it
// finds open: terminals of sessions are not for anybody else.
export {assetUrl, programPath} from './build.js'
export {guardDescriptor, guardedStdio, type StandardStreams} from './descriptors.js'
export {runToEnd} from './run.js'
export {makeSureOfRoom, startChild, startProblem} from './start-child.js'
