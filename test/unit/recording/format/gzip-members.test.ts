import {gzipSync} from 'node:zlib'
import fc from 'fast-check'
import {describe, expect, it} from 'vitest'
import {inflateMember, type Member, readMembers} from '../../../../src/lib/recording/format/gzip-members.js'
import {MEMBER_BYTES} from '../../../../src/lib/recording/limits.js'
import {processorTime} from '../../../support/processor-time.js'

async function* pieces(data: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < data.length; at += size) yield data.subarray(at, at + size)
}

async function collect(data: Uint8Array, size = 1000): Promise<Member[]> {
  const members: Member[] = []
  for await (const member of readMembers(pieces(data, size))) members.push(member)
  return members
}

const noise = (length: number) =>
  Buffer.from(Array.from({length}, (_, i) => (i * 7919 + (i >> 3) * 31) % 251))

describe('reading gzip members', () => {
  it('gives every member with its place, whatever the pieces it comes in', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({maxLength: 2000}), {minLength: 1, maxLength: 5}),
        fc.integer({min: 1, max: 300}),
        async (contents, size) => {
          const members = contents.map(content => gzipSync(content))
          const read = await collect(Buffer.concat(members), size)
          expect(read.map(member => [...member.content])).toEqual(contents.map(content => [...content]))
          expect(read.map(member => member.data)).toEqual(members)
          expect(read.every(member => member.complete)).toBe(true)
        },
      ),
      {numRuns: 50},
    )
  })

  it('reads a member that is larger than the first try', async () => {
    const content = Buffer.concat(Array.from({length: 300}, (_, i) => noise(1000 + i)))
    const stored = gzipSync(content, {level: 0})
    const read = await collect(Buffer.concat([stored, gzipSync('after')]), 10_000)
    expect(read[0]?.content.equals(content)).toBe(true)
    expect(read[1]?.offset).toBe(stored.length)
  })

  it('tells where a member ends, whatever it is smaller or larger than', async () => {
    for (const around of [1024, 64 * 1024])
      for (let length = around - 12; length <= around + 12; length++) {
        const stored = gzipSync(noise(length), {level: 0})
        const read = await collect(Buffer.concat([stored, gzipSync('after')]), 10_000)
        expect(read.map(({content}) => content.length)).toEqual([length, 5])
        expect(read[1]?.offset).toBe(stored.length)
      }
  })

  it('reads thousands of small members at less than a tenth of a millisecond of work each', async () => {
    const count = 3000
    const member = gzipSync('a line that a strict session has shown')
    const before = processorTime()
    const read = await collect(Buffer.concat(Array.from({length: count}, () => member)), 64 * 1024)
    expect(read).toHaveLength(count)
    expect((processorTime() - before) / count).toBeLessThan(0.1)
  })

  it('gives the whole members and the readable part of the last, wherever the file was cut', async () => {
    const parts = ['first member', 'the second one'].map(text => gzipSync(text.repeat(20)))
    const whole = Buffer.concat(parts)
    for (let cut = 0; cut < whole.length; cut += 1) {
      const read = await collect(whole.subarray(0, cut), 7)
      const complete = read.filter(member => member.complete)
      expect(complete.length).toBe(cut < (parts[0]?.length ?? 0) ? 0 : 1)
      const partial = read.find(member => !member.complete)
      if (partial)
        expect(
          ['first member', 'the second one'].some(t => t.repeat(20).startsWith(partial.content.toString())),
        ).toBe(true)
    }
  })

  it('reads what gzip(1) writes, file name included', async () => {
    const plain = gzipSync('named')
    const named = Buffer.concat([
      plain.subarray(0, 3),
      Buffer.from([8]),
      plain.subarray(4, 10),
      Buffer.from('a.cast\0'),
      plain.subarray(10),
    ])
    expect((await collect(named))[0]?.content.toString()).toBe('named')
  })

  it('refuses a bomb without inflating it', async () => {
    const bomb = gzipSync(Buffer.alloc(MEMBER_BYTES * 8))
    await expect(collect(bomb)).rejects.toMatchObject({
      code: 'recording_corrupt',
      message: expect.stringContaining('chunk 0'),
    })
  })

  it('names the damaged member when any byte of its data is flipped', async () => {
    const first = gzipSync('one'.repeat(50))
    const second = gzipSync('two'.repeat(50))
    for (let at = 10; at < second.length; at += 1) {
      const bad = Buffer.from(second)
      bad[at] = (bad[at] ?? 0) ^ 0x10
      const outcome = await collect(Buffer.concat([first, bad])).then(
        members => (members[1]?.complete ? members[1].content.toString() : 'cut'),
        (error: Error) => error.message,
      )
      // Padding bits mean nothing: then the content is what it was.
      expect(outcome === 'cut' || outcome === 'two'.repeat(50) || outcome.includes('chunk 1')).toBe(true)
    }
  })

  it('refuses what is not gzip after a member', async () => {
    await expect(collect(Buffer.concat([gzipSync('x'), Buffer.from('garbage here')]))).rejects.toMatchObject({
      code: 'recording_corrupt',
    })
  })
})

describe('a chunk of an upload', () => {
  it('is exactly one member', async () => {
    expect((await inflateMember(gzipSync('one'))).toString()).toBe('one')
    await expect(inflateMember(Buffer.concat([gzipSync('one'), gzipSync('two')]))).rejects.toThrow(
      'exactly one',
    )
    await expect(inflateMember(Buffer.concat([gzipSync('one'), Buffer.from([0])]))).rejects.toThrow(
      'exactly one',
    )
    await expect(inflateMember(gzipSync('one').subarray(0, 12))).rejects.toThrow('exactly one')
  })
})
