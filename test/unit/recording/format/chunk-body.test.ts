import fc from 'fast-check'
import {describe, expect, it} from 'vitest'
import {createChunkBody} from '../../../../src/lib/recording/format/chunk-body.js'

describe('the body of a chunk', () => {
  it('is what was appended, in UTF-8', () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({unit: 'grapheme', maxLength: 3000})),
        fc.nat(10_000),
        (texts, expected) => {
          const body = createChunkBody(expected)
          for (const text of texts) body.append(text)
          const all = Buffer.from(texts.join(''))
          expect([body.size, body.bytes().equals(all)]).toEqual([all.length, true])
        },
      ),
    )
  })

  it('shares no memory with one that is still used', () => {
    const bodies = Array.from({length: 8}, (_, i) => {
      const body = createChunkBody()
      for (let n = 0; n < 40; n++) body.append(String(i).repeat(20_000))
      return body
    })
    bodies[0]?.release()
    bodies[1]?.release()
    const later = [createChunkBody(700_000), createChunkBody(700_000), createChunkBody(700_000)]
    for (const body of later) body.append('x'.repeat(700_000))
    bodies.slice(2).forEach((body, i) => {
      expect(body.bytes().equals(Buffer.alloc(800_000, String(i + 2)))).toBe(true)
    })
    expect(later.every(body => body.bytes().equals(Buffer.alloc(700_000, 'x')))).toBe(true)
    expect(bodies[0]?.size).toBe(800_000)
  })
})
