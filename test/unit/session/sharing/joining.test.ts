import {describe, expect, test, vi} from 'vitest'
import type {JoinPermit} from '../../../../src/lib/auth/contract.js'
import {problem} from '../../../../src/lib/errors/index.js'
import {parseJoin, placeOf, seatClient} from '../../../../src/lib/session/sharing/joining.js'
import {failure} from '../../auth/fixture.js'
import {openChannel, pair} from '../../ssh/fixture.js'

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

describe('a seat', () => {
  /** Somebody who asks for a seat and types this; nobody is seated, for the session is over when it comes to that. */
  async function wish(permit: Partial<JoinPermit>, {typed = '', pinned = false} = {}) {
    const [client, channel] = await openChannel(await pair(), 'session')
    const find = vi.fn(() => ({}) as never)
    const checkSessionMfa = vi.fn(async ({code}: {code: string}) => {
      find.mockReturnValue(undefined as never)
      if (code !== '123456') throw problem('bad_credentials', 'that code is wrong')
    })
    const tracker = {heldBy: 'here', host: 'db1', user: 'ann'} as JoinPermit['tracker']
    const permitJoin = async () => ({tracker, user: 'joe', roles: [], ...permit})
    client.resume()
    client.write(typed)
    const seated = seatClient(
      {auth: {permitJoin, checkSessionMfa}, hub: {find}, hostId: 'here', now: Date.now},
      {
        identity: {user: 'joe', roles: [], logins: [], validBefore: 0},
        ...{remoteAddress: '192.0.2.9:5000', pinned},
      },
      'sid:peer',
      channel,
    )
    return {error: await failure(seated), checked: checkSessionMfa.mock.calls.map(([request]) => request)}
  }

  test('costs a second factor where roles want one, at the machine that holds the session', async () => {
    const {error, checked} = await wish({secondFactor: true}, {typed: '123456\n'})
    expect(error).toMatchObject({code: 'not_found', message: 'the session is over'})
    expect(checked).toEqual([
      {user: 'joe', code: '123456', address: '192.0.2.9:5000', server_hostname: 'db1', sid: 'sid'},
    ])
    const wrong = await wish({secondFactor: true}, {typed: '000000\n000001\n000002\n'})
    expect(wrong.error.code).toBe('bad_credentials')
  })

  test('is not for a certificate that should be pinned and is not', async () => {
    const pinSourceIp = true as const
    const {error, checked} = await wish({pinSourceIp, secondFactor: true}, {typed: '123456\n'})
    expect({...error, checked}).toMatchObject({code: 'access_denied', checked: []})
    const pinned = await wish({pinSourceIp, secondFactor: true}, {typed: '123456\n', pinned: true})
    expect(pinned.error.message).toBe('the session is over')
  })
})
