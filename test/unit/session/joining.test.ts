import {describe, expect, test} from 'vitest'
import {parseJoin, placeOf} from '../../../src/lib/session/joining.js'
import {failure} from '../auth/fixture.js'

describe('where a session can be joined', () => {
  test.each([
    ['node-1', 'node-1', true, 'here'],
    ['node-1', 'node-1', false, 'over'],
    ['node-1', 'proxy-1', false, 'elsewhere'],
    // What the cluster says of another machine's session permits nothing here, whatever runs under its ID.
    ['node-1', 'proxy-1', true, 'elsewhere'],
  ] as const)('held by %s, asked of %s, running there: %s → %s', (heldBy, hostId, runsHere, place) => {
    expect(placeOf({heldBy}, hostId, runsHere)).toBe(place)
  })
})

describe('what is asked for', () => {
  test.each([
    ['A-B', {sid: 'a-b', mode: 'observer'}],
    ['a-b:peer', {sid: 'a-b', mode: 'peer'}],
    ['a-b:moderator', {sid: 'a-b', mode: 'moderator'}],
  ])('%s', (words, wish) => {
    expect(parseJoin(words)).toEqual(wish)
  })

  test.each(['a-b:', 'a-b:root', 'a-b:peer:10.0.0.1:22', 'a-b:peer@10.0.0.1', 'a-b:Peer', ':::'])(
    'not %j',
    async words => {
      expect((await failure((async () => parseJoin(words))())).code).toBe('invalid_input')
    },
  )
})
