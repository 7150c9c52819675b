import {afterEach, beforeEach, describe, expect, it, vi} from 'vitest'
import type {AuditInput} from '../../../../src/lib/audit/event.js'
import {
  limitRefusals,
  REFUSAL_WINDOW_MS,
  REFUSED_ADDRESSES,
  SINGLE_REFUSALS,
} from '../../../../src/lib/session/door/refusals.js'

let written: AuditInput[]
let refusals: ReturnType<typeof limitRefusals>

beforeEach(() => {
  vi.useFakeTimers()
  written = []
  refusals = limitRefusals(input => void written.push(input))
})
afterEach(() => void vi.useRealTimers())

const refused = (address: string, user = 'eve'): void =>
  refusals.report({
    ...{event: 'auth', success: false, user, 'addr.remote': address, proto: 'ssh'},
    error: `no authority signed the certificate of ${user}`,
  })

describe('refusals of one address', () => {
  it('are on record each by itself, until they are too many within a minute; the rest is counted', () => {
    for (let i = 0; i < 500; i++) refused(`192.0.2.1:${1000 + i}`, `u${i}`)
    refused('192.0.2.2:9')
    expect(written).toHaveLength(SINGLE_REFUSALS + 1)
    expect(written[0]).toMatchObject({'addr.remote': '192.0.2.1:1000', user: 'u0'})
    vi.advanceTimersByTime(REFUSAL_WINDOW_MS)
    expect(written).toHaveLength(SINGLE_REFUSALS + 2)
    const last = written.at(-1)
    expect(last).toMatchObject({
      ...{event: 'auth', success: false, 'addr.remote': '192.0.2.1', proto: 'ssh'},
      error: `${500 - SINGLE_REFUSALS} more were refused within a minute`,
      fields: {count: 500 - SINGLE_REFUSALS},
    })
    expect(last).not.toHaveProperty('user')
    expect(last?.fields?.names).toHaveLength(8)
    refused('192.0.2.1:1')
    expect(written.at(-1)).toMatchObject({user: 'eve'})
  })

  it('are counted to the last one when the service ends', () => {
    for (let i = 0; i < SINGLE_REFUSALS + 5; i++) refused('[2001:db8::1]:22')
    refusals.flush()
    expect(written.at(-1)).toMatchObject({'addr.remote': '2001:db8::1', fields: {count: 5}})
    refusals.flush()
    expect(written).toHaveLength(SINGLE_REFUSALS + 1)
  })
})

it('of more addresses than are told apart are taken together', () => {
  for (let i = 0; i < REFUSED_ADDRESSES; i++) refused(`10.0.${i >> 8}.${i & 255}:1`)
  for (let i = 0; i < 1000; i++) refused(`10.1.${i >> 8}.${i & 255}:1`)
  expect(written).toHaveLength(REFUSED_ADDRESSES + SINGLE_REFUSALS)
  refusals.flush()
  expect(written.at(-1)).toMatchObject({
    'addr.remote': 'other addresses',
    fields: {count: 1000 - SINGLE_REFUSALS},
  })
})
