import {describe, expect, test} from 'vitest'
import {ageOf, type Stamp} from '../../../../src/lib/service/kept/age.js'

const minute = 60_000
const hour = 60 * minute
const at = 1_800_000_000_000
/** Taken an hour after the fact, two hours after the machine was started. */
const stamp: Stamp = {fetched: at, age: hour, wall: at + hour, boot: {id: 'a', uptime: 2 * hour}}
const clock = (wall: number, uptime?: number, id = 'a') => ({
  wall: at + wall,
  ...(uptime !== undefined && {boot: {id, uptime}}),
})

describe('the age of what a machine knows', () => {
  test.each([
    ['as time passes', clock(3 * hour, 4 * hour), 3 * hour],
    ['with the clock set back an hour', clock(2 * hour, 4 * hour), 3 * hour],
    ['with the clock set back ten years', clock(-87_600 * hour, 4 * hour), 3 * hour],
    ['with the clock set forward', clock(9 * hour, 4 * hour), 9 * hour],
    ['after a new start of the machine', clock(5 * hour, minute, 'b'), 5 * hour],
    ['after a new start, with the clock behind the fact but not behind the stamp', clock(hour, 0, 'b'), hour],
    ['after a new start, with the clock a little behind', clock(hour - minute / 2, 0, 'b'), hour],
    ['after a new start, with the clock far behind', clock(hour - 2 * minute, 0, 'b'), undefined],
    ['where no start can be told from another', clock(2 * hour), 2 * hour],
    ['where time since the start went back: a snapshot of the machine', clock(2 * hour, hour), undefined],
  ])('%s', (_what, time, age) => {
    expect(ageOf(stamp, time)).toBe(age)
  })

  test('counts on from what it was, where the clock was set back before the stamp was taken', () => {
    // Eleven hours old by the one clock, one by the other.
    const set = {...stamp, age: 11 * hour}
    expect(ageOf(set, clock(2 * hour, 3 * hour))).toBe(12 * hour)
    expect(ageOf(set, clock(2 * hour, 0, 'b'))).toBe(12 * hour)
  })
})
