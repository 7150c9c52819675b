// Jobs that wait for each other, and waiting no longer than a limit. Knows nothing of what the jobs are.
export {type AtMostOptions, createAtMost} from './at-most.js'
export {createTurn, type Turn} from './in-turn.js'
export {createKeyedTurn, type KeyedTurn, type KeyedTurnOptions} from './in-turn-by-key.js'
export {mapParallel} from './map-parallel.js'
export {within} from './within.js'
