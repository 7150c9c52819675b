import {problem} from '../errors/index.js'

export interface Replies {
  /**
   * Reserves the next place in the order and returns the function that gives the answer for it; `deliver` is called
   * with the answer once all earlier ones have been delivered.
   * @throws limit_exceeded when too many are outstanding
   */
  expect<Answer>(deliver: (answer: Answer) => void): (answer: Answer) => void
}

/** SSH matches replies to requests by order alone (RFC 4254 §4), so an early answer waits for those before it. */
export function orderedReplies(limit: number): Replies {
  const queue: {run?: () => void}[] = []
  return {
    expect(deliver) {
      if (queue.length >= limit) throw problem('limit_exceeded', 'the peer sent too many requests at once')
      const place: {run?: () => void} = {}
      queue.push(place)
      return answer => {
        place.run = () => deliver(answer)
        while (queue[0]?.run) queue.shift()?.run?.()
      }
    },
  }
}
