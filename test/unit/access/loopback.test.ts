import {describe, expect, it} from 'vitest'
import {isLoopback, isLoopbackAddress} from '../../../src/lib/access/index.js'
import {isReserved} from '../../../src/lib/auth/join/names-of-cluster.js'

describe('what every machine has for itself', () => {
  it.each([
    '127.0.0.1',
    '127.0.0.2',
    '127.255.255.255',
    '::1',
    '0:0:0:0:0:0:0:1',
    '::1%lo',
    '::ffff:127.0.0.1',
    '::ffff:7f00:1',
  ])('%s, wherever it is asked', host => {
    expect([isLoopbackAddress(host), isLoopback(host), isReserved([], host)]).toEqual([true, true, true])
  })

  it('localhost, by its name alone', () => {
    expect([isLoopbackAddress, isLoopback].map(is => is('localhost'))).toEqual([false, true])
  })
})

describe('what only looks like it', () => {
  it.each([
    '127.evil.example',
    '127.0.0.1.evil.example',
    '127.',
    '127.0.0.1:22',
    '127.0.0.256',
    '128.0.0.1',
    '126.255.255.255',
    '::2',
    '1::1',
    '::',
    '0.0.0.0',
    '::ffff:128.0.0.1',
    'localhost.evil.example',
    'notlocalhost',
    '',
  ])('%s', host => {
    expect([isLoopbackAddress(host), isLoopback(host), isReserved([], host)]).toEqual([false, false, false])
  })
})

// RFC 6761 §6.3: resolvers may take them for loopback, so no host gets them; where we listen it must be certain.
it('names under localhost are reserved, and no proof of listening on loopback', () => {
  expect([isReserved([], 'web.localhost'), isLoopback('web.localhost')]).toEqual([true, false])
})
