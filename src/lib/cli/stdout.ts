import {problem} from '../errors/index.js'
import {asksForJson, describe, ownArguments} from './report.js'
import {failureWords} from './write-out.js'

/**
 * Ends the process where standard output takes no more: without a word when its reader went away (`| head`), which is no
 * error, and otherwise (a full disk) as `store_failed`. What was lost cannot be written again, whichever command it was.
 */
export function endWithStdout(argv: readonly string[]): void {
  process.stdout.on('error', (cause: NodeJS.ErrnoException) => {
    if (cause.code === 'EPIPE') process.exit(0)
    const error = problem('store_failed', `standard output cannot be written: ${failureWords(cause)}`, {
      cause,
    })
    const own = ownArguments(argv)
    process.stderr.write(describe(error, {debug: own.includes('--debug'), json: asksForJson(own)}))
    process.exit(error.exitCode)
  })
  // There is nobody left to tell; the exit code still says how it went.
  process.stderr.on('error', () => undefined)
}
