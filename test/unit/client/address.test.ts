import fc from 'fast-check'
import {describe, expect, it} from 'vitest'
import {
  formatProxyAddress,
  parseHostPort,
  parseProxyAddress,
  reachable,
} from '../../../src/lib/client/address.js'
import {SallyportError} from '../../../src/lib/errors/index.js'

describe('a proxy address', () => {
  it.each([
    ['proxy.example.com', {host: 'proxy.example.com', webPort: 3080}],
    ['Proxy.Example.com:443', {host: 'proxy.example.com', webPort: 443}],
    ['proxy:3080,3023', {host: 'proxy', webPort: 3080, sshPort: 3023}],
    ['proxy:,3023', {host: 'proxy', webPort: 3080, sshPort: 3023}],
    ['10.0.0.1:1', {host: '10.0.0.1', webPort: 1}],
    ['::1', {host: '::1', webPort: 3080}],
    ['[::1]:4000,65535', {host: '::1', webPort: 4000, sshPort: 65_535}],
    ['https://proxy:3080/web', {host: 'proxy', webPort: 3080}],
    ['https://proxy', {host: 'proxy', webPort: 443}],
  ])('is read from %s', (text, address) => {
    expect(parseProxyAddress(text)).toEqual(address)
  })

  it.each([
    '',
    ' ',
    'a b',
    'proxy:0',
    'proxy:65536',
    'proxy:x',
    'proxy:1,0',
    'user@proxy',
    '[::1',
    '[proxy]:1',
    'a/b',
    'http://proxy',
  ])('is not read from %j', text => {
    expect(() => parseProxyAddress(text)).toThrow(SallyportError)
  })

  it('reads back what it writes', () => {
    const host = fc.oneof(fc.domain(), fc.ipV4(), fc.ipV6())
    fc.assert(
      fc.property(host, fc.integer({min: 1, max: 65_535}), (name, webPort) => {
        const address = {host: name.toLowerCase(), webPort}
        expect(parseProxyAddress(formatProxyAddress(address))).toEqual(address)
      }),
    )
  })
})

describe('an announced SSH address', () => {
  it('is read with its port, and a wildcard stands for the host that was named', () => {
    expect(parseHostPort('[::]:3023')).toEqual({host: '::', port: 3023})
    expect(reachable(parseHostPort('[::]:3023'), 'proxy')).toEqual({host: 'proxy', port: 3023})
    expect(reachable(parseHostPort('0.0.0.0:3023'), 'proxy')).toEqual({host: 'proxy', port: 3023})
    expect(reachable(parseHostPort('ssh.example.com:22'), 'proxy')).toEqual({
      host: 'ssh.example.com',
      port: 22,
    })
  })

  it.each(['', 'host', 'host:0', 'host:99999', ':22', 'a b:22'])('is not read from %j', text => {
    expect(() => parseHostPort(text)).toThrow(SallyportError)
  })
})
