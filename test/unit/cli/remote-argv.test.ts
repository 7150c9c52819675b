import fc from 'fast-check'
import {describe, expect, test} from 'vitest'
import {atDashes, prepareArgv, splitRemote} from '../../../src/lib/cli/remote-argv.js'

const prepared = (line: string) => prepareArgv(line.split(' ')).join(' ')

describe('the argument line of ssh', () => {
  test.each([
    ['ssh host', 'ssh host'],
    ['ssh host uptime -p', 'ssh host -- uptime -p'],
    ['ssh -p 22 host ls --help', 'ssh -p 22 host -- ls --help'],
    ['ssh host -p 22 ls -l', 'ssh host -p 22 -- ls -l'],
    ['ssh -p22 host id', 'ssh -p22 host -- id'],
    ['ssh -Ap 22 host id', 'ssh -Ap 22 host -- id'],
    ['ssh -pA 22 host', 'ssh -pA 22 -- host'],
    ['ssh --port=22 host id', 'ssh --port=22 host -- id'],
    ['ssh --proxy a:1 host id', 'ssh --proxy a:1 host -- id'],
    ['ssh host -- git log -- file', 'ssh host -- git log -- file'],
    ['ssh host git log -- file', 'ssh host -- git log -- file'],
    ['ssh --help', 'ssh --help'],
    ['ssh host --help', 'ssh host --help'],
    ['play -x ssh y', 'play -x ssh y'],
  ])('%s', (line, expected) => expect(prepared(line)).toBe(expected))

  test('the remote command arrives word for word, repeated words in their places', () => {
    const remote = ['a', 'b', 'a', '-x', '--', '-x']
    expect(atDashes(prepareArgv(['ssh', '-A', 'host', ...remote]))).toEqual({
      own: ['ssh', '-A', 'host'],
      remote,
    })
  })

  test('no word is lost or moved, whatever it is', () => {
    const words = fc.array(fc.oneof(fc.string(), fc.constantFrom('-p', '--', '-Ap', 'host', '--user', '-')))
    fc.assert(
      fc.property(words, argv => {
        const {own, remote} = splitRemote(argv)
        const without = argv.includes('--') && own.length + remote.length < argv.length
        expect([...own, ...(without ? ['--'] : []), ...remote]).toEqual(argv)
        if (remote.length > 0) expect(atDashes(prepareArgv(['ssh', ...argv])).remote).toEqual(remote)
      }),
    )
  })
})
