import fc from 'fast-check'
import {describe, expect, it} from 'vitest'
import {transferCommand} from '../../../src/lib/transfer/index.js'

const exec = (command: string) => transferCommand('exec', command)

describe('the transfer that a session is for', () => {
  it.each([
    ['scp -t /tmp', 'upload', false, ['/tmp']],
    ['scp -t .', 'upload', false, ['.']],
    ['scp -v -r -p -d -t -- /tmp/x', 'upload', true, ['/tmp/x']],
    ['scp -rpdt /tmp', 'upload', true, ['/tmp']],
    ["scp -t -- 'a b'", 'upload', false, ['a b']],
    ['scp -f -- -odd', 'download', false, ['-odd']],
    ['scp -f "it\'s" b\\ c', 'download', false, ["it's", 'b c']],
    ["scp -f 'a'\\''b'", 'download', false, ["a'b"]],
    ['scp -f \'semi;colon\' "back\\\\slash \\"q\\""', 'download', false, ['semi;colon', 'back\\slash "q"']],
    ['/usr/bin/scp -f /var/log/*.log', 'download', false, ['/var/log/*.log']],
    ['exec scp -f ~/x', 'download', false, ['~/x']],
    ['  scp\t-f   x  ', 'download', false, ['x']],
  ])('%s', (command, direction, intoDirectory, paths) => {
    expect(exec(command)).toEqual({protocol: 'scp', direction, intoDirectory, paths})
  })

  it.each([
    ['rsync --server -vlogDtpre.iLsfxCIvu . /tmp/to', 'upload', ['/tmp/to']],
    ['rsync --server --sender -vlogDtpre.iLsfxCIvu . /etc a', 'download', ['/etc', 'a']],
  ])('%s', (command, direction, paths) => {
    expect(exec(command)).toEqual({protocol: 'rsync', direction, paths})
  })

  it.each(['/usr/lib/openssh/sftp-server', 'exec /usr/lib/openssh/sftp-server', '/usr/lib/sftp-server -e'])(
    '%s',
    command => {
      expect(exec(command)).toEqual({protocol: 'sftp'})
    },
  )

  it('is SFTP where its subsystem is asked for', () => {
    expect(transferCommand('subsystem', 'sftp')).toEqual({protocol: 'sftp'})
  })

  it.each([
    'ls',
    '',
    'scp',
    'scp -t',
    'scp -f -t x',
    'scp a b',
    'scp -S evil -t x',
    'scp -t x; id',
    'scp -t x && id',
    'scp -t x | cat',
    'scp -f $(id)',
    'scp -f `id`',
    'scp -f $HOME',
    'scp -f "$(id)"',
    'scp -f x > y',
    'scp -f x\nid',
    'scp -t x # y',
    'scp -t x #y',
    'scp -t "x',
    "scp -t 'x",
    'scp -t x\\',
    './scp -t x',
    '/tmp/scp -t x',
    'sudo scp -t x',
    'PATH=/tmp scp -t x',
    's?p -t x',
    '/tmp/sftp-server',
    'sftp-server',
    'rsync a b',
    'echo scp -t x',
  ])('is none, so that it is recorded like any command: %s', command => {
    expect(exec(command)).toBeUndefined()
  })

  it.each(['shell', 'subsystem'])('is none for a %s', kind => {
    expect(transferCommand(kind, 'scp -t x')).toBeUndefined()
  })

  it('is found, or not, in any text', () => {
    fc.assert(
      fc.property(fc.string({maxLength: 200}), text => {
        exec(text)
        exec(`scp -f ${text}`)
      }),
    )
    expect(exec(`scp -f ${'x'.repeat(100_000)}`)).toBeUndefined()
  })
})
