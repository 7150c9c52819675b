// What sessions of a node run, as whom and in what environment. Knows nothing of SSH besides the form of its requests.
export {isLoginName, resolveAccount} from './accounts.js'
export {startProcess} from './start.js'
export {readTerminal} from './terminal-modes.js'
export type {Account, NodeProcess, ProcessExit, ProcessSpec, Program, Terminal} from './types.js'
