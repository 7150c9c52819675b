// Coded errors from one catalogue. Every room throws these; `cli` turns them into a line and an exit code. And the
// log of a service, which hears of them.
export {catalogue, type ErrorCode, isErrorCode} from './catalogue.js'
export {asProblem, isAway, parseProblemLine, problem, problemLine, SallyportError} from './error.js'
export type {Log} from './log.js'
