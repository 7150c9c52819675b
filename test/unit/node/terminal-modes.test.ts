import {execFileSync} from 'node:child_process'
import fc from 'fast-check'
import {describe, expect, test} from 'vitest'
import {readTerminal, sttyArguments} from '../../../src/lib/node/process/terminal-modes.js'
import {WireWriter} from '../../../src/lib/sshcert/index.js'

const modes = (...pairs: [number, number][]): Buffer =>
  Buffer.concat([
    ...pairs.map(([opcode, value]) => new WireWriter().u8(opcode).u32(value).finish()),
    Buffer.of(0),
  ])

describe('terminal modes', () => {
  test('become arguments of stty', () => {
    expect(
      sttyArguments(modes([1, 3], [3, 127], [5, 255], [8, 0x71], [53, 0], [51, 1], [72, 0], [128, 38_400])),
    ).toEqual(['intr', '^C', 'erase', '^?', 'eof', '^-', 'start', 'q', '-echo', 'icanon', '-onlcr'])
  })

  test('end where RFC 4254 says, and where they make no sense', () => {
    expect(sttyArguments(Buffer.alloc(0))).toEqual([])
    expect(sttyArguments(Buffer.from([53, 0, 0]))).toEqual([])
    expect(sttyArguments(modes([53, 1], [160, 1], [51, 1]))).toEqual(['echo'])
    expect(sttyArguments(Buffer.concat([modes([53, 1]), modes([51, 1])]))).toEqual(['echo'])
    expect(sttyArguments(modes([200, 1]))).toEqual([])
    expect(sttyArguments(modes([1, 200], [1, 0xffff_ffff], [2, 28]))).toEqual(['quit', '^\\'])
  })

  test('are all known to the stty of this system', () => {
    const all = Array.from(
      {length: 159},
      (_, i) =>
        [
          [i + 1, 1],
          [i + 1, 0],
        ] as [number, number][],
    ).flat()
    const args = sttyArguments(modes(...all))
    expect(args.length).toBeGreaterThan(60)
    // With its own idea of a terminal: script(1) gives it one.
    execFileSync('script', ['-qec', `stty ${args.map(arg => `'${arg}'`).join(' ')}`, '/dev/null'], {
      stdio: 'pipe',
    })
  })

  test('of any bytes are bounded, and no option or command', () => {
    fc.assert(
      fc.property(fc.uint8Array({maxLength: 4000}), bytes => {
        const args = sttyArguments(Buffer.from(bytes))
        expect(args.length).toBeLessThanOrEqual(640)
        for (const arg of args) expect(arg).toMatch(/^-?[a-z0-9]+$|^\^.$|^[\x20-\x7e]$/)
      }),
    )
  })
})

test('a pty-req is read whole, and refused where it is cut short', () => {
  const request = new WireWriter()
    .string('xterm')
    .u32(80)
    .u32(24)
    .u32(640)
    .u32(480)
    .string(modes([53, 0]))
    .finish()
  expect(readTerminal(request)).toEqual({term: 'xterm', columns: 80, rows: 24, modes: modes([53, 0])})
  for (let length = 0; length < request.length; length++)
    expect(() => readTerminal(request.subarray(0, length))).toThrow()
})
