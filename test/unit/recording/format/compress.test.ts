import {spawnSync} from 'node:child_process'
import {randomBytes} from 'node:crypto'
import {deflateRawSync, gunzipSync, inflateRawSync} from 'node:zlib'
import {describe, expect, it} from 'vitest'
import {createCompressor} from '../../../../src/lib/recording/format/compress.js'
import {gzipMember, isMadeHere} from '../../../../src/lib/recording/format/gzip-member.js'

const noise = (): Buffer => Buffer.from(randomBytes(600_000).toString('base64'))
const prose = Buffer.from('drwxr-xr-x 2 root root 4096 Nov 21 12:00 conf.d\n'.repeat(20_000))

describe('the chunks of a recording', () => {
  it('hold exactly the text, however it is compressed', async () => {
    const compress = createCompressor()
    const texts = [noise(), noise(), prose, noise(), Buffer.from('ünï\n'), prose]
    for (const text of texts) expect(inflateRawSync(await compress(text)).equals(text)).toBe(true)
    const all = await Promise.all(texts.map(compress))
    all.forEach((deflated, i) => {
      expect(inflateRawSync(deflated).equals(texts[i] as Buffer)).toBe(true)
    })
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
    const small = prose.subarray(0, 100_000)
    expect((await compress(small)).length).toBeLessThan(small.length / 20)
  })
})

describe('a member', () => {
  it.each(['', 'first line\n', 'x'.repeat(65_535), 'ünï\n'])('has its start before its body: %#', start => {
    for (const body of [Buffer.alloc(0), prose]) {
      const member = gzipMember(start, body, deflateRawSync(body))
      expect(gunzipSync(member).equals(Buffer.concat([Buffer.from(start), body]))).toBe(true)
      expect(isMadeHere(member)).toBe(true)
      expect(isMadeHere(Buffer.from(member))).toBe(false)
    }
  })

  it('has no start that one block cannot hold', () => {
    expect(() => gzipMember('x'.repeat(65_536), prose, deflateRawSync(prose))).toThrow('too long')
  })

  it('is what gzip(1) reads', () => {
    const member = gzipMember('first line\n', prose, deflateRawSync(prose))
    const read = spawnSync('gzip', ['-dc'], {input: member, maxBuffer: 4_000_000})
    expect([read.status, read.stdout.length]).toEqual([0, prose.length + 11])
  })
})
