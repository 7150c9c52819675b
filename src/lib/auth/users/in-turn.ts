import {problem} from '../../errors/index.js'

/** More waiting than this for one account is no person and no reasonable script. */
const maxWaiting = 16

/**
 * Runs jobs of the same key one after the other, so that right passwords given at the same moment do not count as
 * failures of each other; jobs of different keys do not wait.
 * @throws rate_limited when too many wait
 */
export function createTurns(): <Result>(key: string, job: () => Promise<Result>) => Promise<Result> {
  const lines = new Map<string, {waiting: number; last: Promise<unknown>}>()
  return async (key, job) => {
    const line = lines.get(key) ?? {waiting: 0, last: Promise.resolve()}
    if (line.waiting >= maxWaiting) {
      throw problem('rate_limited', 'too many logins of this user at once', {hint: 'try again in a moment'})
    }
    lines.set(key, line)
    line.waiting++
    const turn = line.last.then(job, job)
    line.last = turn.catch(() => undefined)
    try {
      return await turn
    } finally {
      line.waiting--
      if (line.waiting === 0) lines.delete(key)
    }
  }
}
