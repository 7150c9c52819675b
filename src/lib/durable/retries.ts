import {problem} from '../errors/index.js'

export interface RetriesOptions {
  /** Pause after a round in which nothing succeeded; doubled up to `longestMs`. */
  firstMs?: number
  longestMs?: number
  /** Told of the first failure of a job, and of one that was dropped. */
  onProblem: (error: unknown) => void
}

/** Jobs that are tried until they succeed, one at a time. Waiting keeps no process alive. */
export interface Retries {
  /** Resolves when the job has succeeded; stays open when it is dropped, or closed before. */
  add(job: () => Promise<void>): Promise<void>
  /** Tries no more; resolves when the job under way is done. */
  close(): Promise<void>
}

/** Beyond this the oldest is given up: memory is bounded however long a disk stays full. */
const MOST_JOBS = 10_000

interface Job {
  run: () => Promise<void>
  done: () => void
  failed: boolean
}

/** A job that fails goes behind the others, so that none waits for one that cannot succeed. */
export function createRetries({firstMs = 1000, longestMs = 30_000, onProblem}: RetriesOptions): Retries {
  const jobs: Job[] = []
  const stop = new AbortController()
  let working: Promise<void> | undefined

  const attempt = async (job: Job): Promise<boolean> => {
    try {
      await job.run()
      job.done()
      return true
    } catch (error) {
      if (!job.failed) onProblem(error)
      job.failed = true
      jobs.push(job)
      return false
    }
  }

  const work = async (): Promise<void> => {
    let failures = 0
    let pause = firstMs
    for (let job = jobs.shift(); job && !stop.signal.aborted; job = jobs.shift()) {
      if (await attempt(job)) {
        failures = 0
        pause = firstMs
      } else if (++failures >= jobs.length) {
        await wait(pause, stop.signal)
        failures = 0
        pause = Math.min(pause * 2, longestMs)
      }
    }
    working = undefined
  }

  return {
    add(run) {
      if (jobs.length >= MOST_JOBS) {
        jobs.shift()
        onProblem(
          problem('limit_exceeded', `more than ${MOST_JOBS} steps wait for the disk: one is given up`),
        )
      }
      return new Promise(resolve => {
        jobs.push({run, done: resolve, failed: false})
        working ??= work()
      })
    },
    async close() {
      stop.abort()
      await working
    },
  }
}

function wait(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    if (signal.aborted) return resolve()
    const timer = setTimeout(done, milliseconds).unref()
    signal.addEventListener('abort', done, {once: true})
    function done(): void {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
  })
}
