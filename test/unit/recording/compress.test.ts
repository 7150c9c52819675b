import {randomBytes} from 'node:crypto'
import {gunzipSync} from 'node:zlib'
import {describe, expect, it} from 'vitest'
import {createCompressor} from '../../../src/lib/recording/compress.js'

const noise = (): string => randomBytes(600_000).toString('base64')
const prose = 'drwxr-xr-x 2 root root 4096 Nov 21 12:00 conf.d\n'.repeat(20_000)

describe('the members of a recording', () => {
  it('hold exactly the text, however it is compressed', async () => {
    const compress = createCompressor()
    const texts = [noise(), noise(), prose, noise(), 'ünï\n', prose]
    for (const text of texts) expect(gunzipSync(await compress(text)).toString('utf8') === text).toBe(true)
  })

  it('of text that repeats itself are searched again soon after text that does not', async () => {
    const compress = createCompressor()
    await compress(noise())
    const sizes: number[] = []
    for (let chunk = 0; chunk < 10; chunk++) sizes.push((await compress(prose)).length)
    expect(sizes[0]).toBeGreaterThan(prose.length / 4)
    expect(sizes.at(-1)).toBeLessThan(prose.length / 20)
  })

  it('of small chunks are always searched', async () => {
    const compress = createCompressor()
    await compress(noise())
    const small = prose.slice(0, 100_000)
    expect((await compress(small)).length).toBeLessThan(small.length / 20)
  })
})
