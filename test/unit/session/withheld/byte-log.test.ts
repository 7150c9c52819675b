import fc from 'fast-check'
import {describe, expect, it} from 'vitest'
import {createByteLog} from '../../../../src/lib/session/withheld/byte-log.js'

const taken = (log: ReturnType<typeof createByteLog>, count: number): Buffer => {
  const pieces: Buffer[] = []
  log.shift(count, lent => pieces.push(Buffer.from(lent)))
  return Buffer.concat(pieces)
}

describe('a log of bytes', () => {
  it('gives back what was pushed, in order, whatever becomes of the bytes that were lent to it', () => {
    const steps = fc.array(
      fc.oneof(
        fc.record({push: fc.integer({min: 1, max: 100_000})}),
        fc.record({shift: fc.double({min: 0, max: 1, noNaN: true})}),
      ),
      {maxLength: 40},
    )
    fc.assert(
      fc.property(steps, fc.integer({min: 0, max: 255}), (given, seed) => {
        const log = createByteLog()
        let expected: Buffer = Buffer.alloc(0)
        let next = seed
        for (const step of given) {
          if ('push' in step) {
            const bytes = Buffer.from(Array.from({length: step.push}, () => next++ & 255))
            expected = Buffer.concat([expected, bytes])
            log.push(bytes)
            bytes.fill(0)
          } else {
            const count = Math.floor(step.shift * expected.length)
            expect(taken(log, count).equals(expected.subarray(0, count))).toBe(true)
            expected = expected.subarray(count)
          }
        }
        expect(taken(log, expected.length).equals(expected)).toBe(true)
      }),
      {numRuns: 50},
    )
  })

  it('takes more while it hands out', () => {
    const log = createByteLog()
    log.push(Buffer.alloc(70_000, 'a'))
    let more = 3
    log.shift(70_000, () => {
      if (more-- > 0) log.push(Buffer.alloc(40_000, 'b'))
    })
    expect(taken(log, 120_000).equals(Buffer.alloc(120_000, 'b'))).toBe(true)
    expect(() => taken(log, 1)).toThrow('more is taken')
  })

  it('has nothing left when it was cleared, and goes on', () => {
    const log = createByteLog()
    log.push(Buffer.alloc(100_000, 'a'))
    taken(log, 10)
    log.clear()
    expect(() => taken(log, 1)).toThrow('more is taken')
    log.push(Buffer.from('fresh'))
    expect(taken(log, 5).toString()).toBe('fresh')
  })
})
