import fc from 'fast-check'
import {describe, expect, it} from 'vitest'
import {parseDynamicForward, parseForward} from '../../../../src/lib/client/ssh/forward-spec.js'
import {parseRequest} from '../../../../src/lib/client/ssh/socks.js'
import {SallyportError} from '../../../../src/lib/errors/index.js'

describe('forwarding flags', () => {
  it.each([
    ['8080:db:5432', {bind: {host: '127.0.0.1', port: 8080}, target: {host: 'db', port: 5432}}],
    ['0:db:5432', {bind: {host: '127.0.0.1', port: 0}, target: {host: 'db', port: 5432}}],
    ['*:8080:db:5432', {bind: {host: '0.0.0.0', port: 8080}, target: {host: 'db', port: 5432}}],
    [':8080:db:5432', {bind: {host: '0.0.0.0', port: 8080}, target: {host: 'db', port: 5432}}],
    ['[::1]:8080:[fe80::1]:5432', {bind: {host: '::1', port: 8080}, target: {host: 'fe80::1', port: 5432}}],
  ])('reads -L %s', (text, expected) => {
    expect(parseForward(text)).toEqual(expected)
  })

  it.each(['', '8080', '8080:db', '8080:db:0', '8080:db:65536', 'x:db:1', '1:2:3:4:5', '8080::5432'])(
    'refuses -L %j',
    text => {
      expect(() => parseForward(text)).toThrow(expect.objectContaining({code: 'invalid_input'}))
    },
  )

  it('reads and refuses -D', () => {
    expect(parseDynamicForward('1080')).toEqual({bind: {host: '127.0.0.1', port: 1080}})
    expect(parseDynamicForward('[::1]:1080')).toEqual({bind: {host: '::1', port: 1080}})
    expect(() => parseDynamicForward('a:b:c')).toThrow(SallyportError)
  })

  it('never throws anything but a coded error', () => {
    fc.assert(
      fc.property(fc.string(), text => {
        for (const parse of [parseForward, parseDynamicForward]) {
          try {
            parse(text)
          } catch (error) {
            expect(error).toBeInstanceOf(SallyportError)
          }
        }
      }),
    )
  })
})

describe('SOCKS 5 requests', () => {
  const port = [0x1f, 0x90]
  it.each([
    ['IPv4', [5, 1, 0, 1, 10, 0, 0, 7, ...port], {host: '10.0.0.7', port: 8080, length: 10}],
    ['a name', [5, 1, 0, 3, 2, 0x64, 0x62, ...port], {host: 'db', port: 8080, length: 9}],
    [
      'IPv6',
      [5, 1, 0, 4, ...Array(15).fill(0), 1, ...port],
      {host: '0000:0000:0000:0000:0000:0000:0000:0001', port: 8080, length: 22},
    ],
  ])('reads %s, at any split', (_name, bytes, expected) => {
    const request = Buffer.from(bytes)
    expect(parseRequest(request)).toEqual(expected)
    for (let cut = 0; cut < request.length; cut++)
      expect(parseRequest(request.subarray(0, cut))).toBe('incomplete')
  })

  it.each([
    ['BIND', [5, 2, 0, 1, 10]],
    ['another version', [4, 1, 0, 1, 10]],
    ['an unknown address type', [5, 1, 0, 9, 10]],
    ['an empty name', [5, 1, 0, 3, 0]],
  ])('refuses %s', (_name, bytes) => {
    expect(parseRequest(Buffer.from(bytes))).toBe('invalid')
  })
})
