import {type ChildProcess, type SpawnOptions, spawn} from 'node:child_process'
import {closeSync, openSync} from 'node:fs'
import {errnoOf, isExhausted} from '../durable/index.js'
import {problem, type SallyportError} from '../errors/index.js'
import {guardedStdio, type StandardStreams} from './descriptors.js'

/** What a child takes while it starts: two for each of its pipes, two to hear whether it has begun, and some to spare. */
const descriptorsToStart = 16

/**
 * As child_process.spawn, with `guardedStdio`. That it could not begin is told by its `error` event, as usual.
 * @throws unavailable, too few descriptors are left
 */
export function startChild(
  [command, ...args]: readonly [string, ...string[]],
  standard: StandardStreams,
  options: Omit<SpawnOptions, 'stdio'>,
): ChildProcess {
  makeSureOfRoom()
  return spawn(command, args, {...options, stdio: guardedStdio(standard)})
}

/**
 * Where descriptors run out halfway, node:child_process keeps the pipes it has made by then for good: it would take a
 * few such attempts until the process has none left at all, and no way back.
 * @throws unavailable
 */
export function makeSureOfRoom(): void {
  const opened: number[] = []
  try {
    for (let left = descriptorsToStart; left > 0; left--) opened.push(openSync('/dev/null', 'r'))
  } catch (error) {
    throw startProblem(error)
  } finally {
    for (const descriptor of opened) closeSync(descriptor)
  }
}

/** Why a program cannot be started, in words for whoever asked for it. */
export function startProblem(error: unknown): SallyportError {
  if (errnoOf(error) === 'E2BIG') return problem('limit_exceeded', 'the command is too long for this host')
  const full = isExhausted(error)
  return problem(
    'unavailable',
    full ? 'this host can start no more programs' : 'the program cannot be started',
    {
      ...(full && {hint: 'try again later'}),
      cause: error,
    },
  )
}
