import {execFileSync} from 'node:child_process'
import fc from 'fast-check'
import {describe, expect, test} from 'vitest'
import {guardDescriptor, guardedStdio} from '../../../src/lib/children/index.js'
import {commandLine, environmentScript, findSetpriv} from '../../../src/lib/node/process/launch.js'
import {parseSession} from '../../../src/lib/node/process/session-members.js'
import {findSftpServer} from '../../../src/lib/node/process/sftp-server.js'

const account = {name: 'ann', uid: 1000, gid: 1001, home: '/home/ann', shell: '/bin/zsh', groups: [1001, 27]}
const bash = '/bin/bash'

describe('the command line of a session', () => {
  const ends = (...parameters: Parameters<typeof commandLine>): string[] => {
    const line = commandLine(...parameters)
    return line.slice(line.indexOf('sallyport'))
  }

  test('is a login shell, named so by a hyphen', () => {
    expect(ends({account, bash, program: {kind: 'shell'}, asRoot: false, tty: '/dev/pts/1'})).toEqual([
      ...['sallyport', '/home/ann', '/dev/pts/1', '-zsh', '/bin/zsh'],
    ])
  })

  test('is the shell with a command, as one argument whatever is in it', () => {
    const command = `a 'b' "c"; $(d) \n -e`
    expect(ends({account, bash, program: {kind: 'command', command}, asRoot: false})).toEqual([
      ...['sallyport', '/home/ann', '', 'zsh', '/bin/zsh', '-c', command],
    ])
  })

  test('is the SFTP server by way of the shell', () => {
    const sftpServer = '/usr/lib/openssh/sftp-server'
    expect(ends({account, bash, program: {kind: 'sftp'}, asRoot: false, sftpServer}).slice(-2)).toEqual([
      ...['-c', `exec ${sftpServer}`],
    ])
  })

  test('takes on the ids and every group first where we are root, by a program of a fixed place', () => {
    const line = commandLine({account, bash, program: {kind: 'shell'}, asRoot: true})
    expect(line.slice(0, 6)).toEqual([
      ...[findSetpriv(), '--reuid=1000', '--regid=1001', '--groups=1001,27', '--', '/bin/bash'],
    ])
    expect(line[0]).toMatch(/^\//)
    const alone = commandLine({
      account: {...account, groups: []},
      bash,
      program: {kind: 'shell'},
      asRoot: true,
    })
    expect(alone).toContain('--clear-groups')
  })

  test.each([undefined, bash])('runs as it stands without bash and with it (%s)', shell => {
    const program = {kind: 'command', command: 'echo "$0 $A $PWD"'} as const
    const [file, ...args] = commandLine({
      ...{account: {...account, shell: '/bin/sh', home: '/no/such'}, program, asRoot: false, bash: shell},
    })
    const script = `exec 3<<'END'\nexport A=b\nEND\nexec "$@"`
    const output = execFileSync('/bin/sh', ['-c', script, 'sh', file, ...args], {encoding: 'utf8'})
    expect(output).toBe(shell ? 'sh b /\n' : '/bin/sh b /\n')
  })
})

describe('an environment as a script', () => {
  test('gives a shell the very values', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.stringMatching(/^SP[A-Z0-9_]{1,8}$/), fc.string({unit: 'binary'})),
        variables => {
          const held = Object.entries(variables).filter(([, value]) => !value.includes('\0'))
          const script = `${environmentScript(Object.fromEntries(held))}exec env -0`
          const output = execFileSync('/bin/sh', ['-c', script], {encoding: 'utf8'})
          const seen = output.split('\0').filter(pair => pair.startsWith('SP'))
          expect(seen.sort()).toEqual(held.map(([name, value]) => `${name}=${value}`).sort())
        },
      ),
      {numRuns: 50},
    )
  })

  test('has no name that is a command, and no NUL', () => {
    expect(environmentScript({'A;id': '1', 'A B': '1', '': '1', A: 'x\0y', B: "'"})).toBe(
      "export B=''\\'''\n",
    )
  })
})

test('a child finds /dev/null under the number of a guarded descriptor', () => {
  const [first, second] = [guardDescriptor(7), guardDescriptor(5)]
  const stdio = guardedStdio(['pipe', 'pipe', 'pipe'])
  expect(stdio).toEqual(['pipe', 'pipe', 'pipe', 'ignore', 'ignore', stdio[5], 'ignore', stdio[5]])
  expect(stdio[5]).toBeTypeOf('number')
  first.release()
  expect(guardedStdio(['pipe', 'pipe', 'pipe'])).toHaveLength(6)
  // The number is used again before the first one's end is known.
  const again = guardDescriptor(5)
  second.release()
  expect(guardedStdio(['pipe', 'pipe', 'pipe'])).toHaveLength(6)
  again.release()
  expect(guardedStdio(['pipe', 'pipe', 'pipe'])).toHaveLength(3)
})

test('the session of a process is found behind any name', () => {
  expect(parseSession('12 (sh) S 1 10 11 34816 12 4194304')).toBe(11)
  expect(parseSession('12 (a) S 9 9 9 (b) S 1 10 11 34816')).toBe(11)
  expect(parseSession('')).toBeUndefined()
})

test('what is missing on the host is named', () => {
  expect(() => findSetpriv(['/no/setpriv'])).toThrow(/no setpriv/)
  expect(() => findSftpServer(['/no/sftp-server', '/etc/passwd'])).toThrow(/no SFTP server/)
})
