import fc from 'fast-check'
import {describe, expect, it} from 'vitest'
import {SallyportError} from '../../../../src/lib/errors/index.js'
import {
  mayPassEnvironment,
  readCommand,
  readExit,
  readPtyRequest,
  readWindowChange,
} from '../../../../src/lib/session/channel/requests.js'
import {WireWriter} from '../../../../src/lib/sshcert/index.js'

const pty = (columns: number, rows: number, term = 'xterm'): Buffer =>
  new WireWriter().string(term).u32(columns).u32(rows).u32(0).u32(0).string('').finish()
const variable = (name: string, value = ''): Buffer => new WireWriter().string(name).string(value).finish()

describe('requests of a session', () => {
  it.each([
    [80, 24, 80, 24],
    [0, 0, 80, 24],
    [1, 1, 1, 1],
    [2 ** 31, 2 ** 32 - 1, 10_000, 10_000],
  ])('a terminal of %d × %d is %d × %d', (columns, rows, width, height) => {
    expect(readPtyRequest(pty(columns, rows))).toEqual({term: 'xterm', columns: width, rows: height})
    const change = new WireWriter().u32(columns).u32(rows).u32(0).u32(0).finish()
    expect(readWindowChange(change)).toEqual({columns: width, rows: height})
  })

  it('a terminal’s name is bounded', () => {
    expect(readPtyRequest(pty(80, 24, 'x'.repeat(1000))).term).toHaveLength(64)
  })

  it('a command has nothing behind it', () => {
    expect(readCommand(new WireWriter().string('ls -l').finish())).toBe('ls -l')
    expect(() => readCommand(new WireWriter().string('ls').string('rm').finish())).toThrow(SallyportError)
  })

  it.each([
    ['LANG', true],
    ['LC_ALL', true],
    ['GIT_PROTOCOL', true],
    ['_x9', true],
    ['LD_PRELOAD', false],
    ['LD_X', false],
    ['DYLD_INSERT_LIBRARIES', false],
    ['NODE_OPTIONS', false],
    ['SSH_AUTH_SOCK', false],
    ['', false],
    ['9X', false],
    ['A=B', false],
    ['A B', false],
    ['A\0', false],
    ['LANG\nLD_PRELOAD', false],
  ])('the variable %j may pass: %s', (name, expected) => {
    expect(mayPassEnvironment(variable(name, 'value'))).toBe(expected)
  })

  it('an end is a status or the name of a signal', () => {
    expect(readExit('exit-status', new WireWriter().u32(7).finish())).toEqual({code: 7})
    const signal = new WireWriter().string('S'.repeat(100)).bool(false).string('').string('').finish()
    expect(readExit('exit-signal', signal)).toEqual({signal: 'S'.repeat(32)})
  })

  it('are refused with an error of ours whatever they contain', () => {
    const readers = [
      readPtyRequest,
      readWindowChange,
      readCommand,
      mayPassEnvironment,
      (data: Buffer) => readExit('exit-status', data),
      (data: Buffer) => readExit('exit-signal', data),
    ]
    fc.assert(
      fc.property(fc.uint8Array({maxLength: 64}), bytes => {
        for (const read of readers) {
          try {
            read(Buffer.from(bytes))
          } catch (error) {
            expect(error).toBeInstanceOf(SallyportError)
          }
        }
      }),
      {numRuns: 2000},
    )
  })
})
