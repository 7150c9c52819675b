import {expect, it} from 'vitest'
import {measureFollowing} from '../../bench/following.js'

it('following a file costs little beside hashing it', () => {
  // The least of some rounds: code is compiled by then, and whatever else the machine does is left out.
  const rounds = Array.from({length: 4}, () => measureFollowing(100_000_000))
  const least = (pick: (round: (typeof rounds)[number]) => number): number => Math.min(...rounds.map(pick))
  expect(least(round => round.following)).toBeLessThan(4 * least(round => round.hashing))
})
