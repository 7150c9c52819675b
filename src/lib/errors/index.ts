// Coded errors from one catalogue. Every room throws these; `cli` turns them into a line and an exit code.
export {catalogue, type ErrorCode, isErrorCode} from './catalogue.js'
export {asProblem, isAway, parseProblemLine, problem, problemLine, SallyportError} from './error.js'
