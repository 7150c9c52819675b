// What sessions of a node run, as whom and in what environment. Knows nothing of SSH besides the form of its requests.
export {isLoginName, resolveAccount} from './accounts.js'
export {type AgentSocket, type AgentSocketOptions, openAgentSocket} from './agent-socket.js'
export {sweepAgentSockets} from './agent-sweep.js'
export {
  type ClientEnvironment,
  clientEnvironment,
  type EnvironmentFacts,
  processEnvironment,
} from './environment.js'
export {readEnvironmentFile} from './environment-file.js'
export {asUser} from './launch.js'
export {startProcess} from './start.js'
export {readTerminal} from './terminal-modes.js'
export type {Account, NodeProcess, ProcessExit, ProcessSpec, Program, Terminal} from './types.js'
