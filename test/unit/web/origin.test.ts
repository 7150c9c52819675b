import {describe, expect, it} from 'vitest'
import {isOwnOrigin} from '../../../src/lib/web/origin.js'

const browser = {fromProgram: false}

describe('isOwnOrigin', () => {
  it.each([
    ['same-origin', true],
    ['none', true],
    ['same-site', false],
    ['cross-site', false],
    ['anything', false],
  ])('believes Sec-Fetch-Site: %s → %s, whatever Origin says', (site, own) => {
    expect(isOwnOrigin({'sec-fetch-site': site, origin: 'null', host: 'p'}, browser)).toBe(own)
    expect(isOwnOrigin({'sec-fetch-site': site, origin: 'https://p', host: 'p'}, browser)).toBe(own)
  })

  it.each([
    ['https://proxy:3080', true],
    ['https://PROXY:3080', true],
    ['https://public.example', true],
    ['http://proxy:3080', false],
    ['https://proxy', false],
    ['https://proxy.evil:3080', false],
    ['null', false],
    ['', false],
  ])('without it, compares Origin %s with our own → %s', (origin, own) => {
    expect(isOwnOrigin({origin, host: 'proxy:3080'}, {...browser, publicHost: 'public.example'})).toBe(own)
  })

  it('lets a request without either header pass only where programs are welcome', () => {
    expect(isOwnOrigin({host: 'p'}, {fromProgram: true})).toBe(true)
    expect(isOwnOrigin({host: 'p'}, {fromProgram: false})).toBe(false)
  })
})
