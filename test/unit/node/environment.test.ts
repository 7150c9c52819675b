import fc from 'fast-check'
import {describe, expect, test} from 'vitest'
import {
  clientEnvironment,
  parseEnvironmentFile,
  processEnvironment,
} from '../../../src/lib/node/process/environment.js'
import {WireWriter} from '../../../src/lib/sshcert/index.js'

const request = (name: string, value: string | Buffer): Buffer =>
  new WireWriter().string(name).string(value).finish()

const account = {name: 'ann', uid: 1000, gid: 1000, home: '/home/ann', shell: '/bin/zsh', groups: [1000]}
const session = {id: 'b2d1', user: 'ann@example.com', hostId: 'c3e2', cluster: 'one'}
const connection = {client: {host: '::1', port: 50_000}, server: {host: '10.0.0.1', port: 3022}}

describe('what a client asks for', () => {
  test('is taken in, the last of each name', () => {
    const environment = clientEnvironment()
    for (const [name, value] of [
      ['LANG', 'C'],
      ['LC_ALL', ''],
      ['LANG', 'de_DE.UTF-8'],
      ['TERM', 'dumb'],
    ] as const)
      expect(environment.add(request(name, value))).toBe(true)
    expect(Object.fromEntries(environment.variables)).toEqual({LANG: 'de_DE.UTF-8', LC_ALL: '', TERM: 'dumb'})
  })

  test.each([
    ...['LD_PRELOAD', 'LD_LIBRARY_PATH', 'LD_', 'DYLD_INSERT_LIBRARIES', 'NODE_OPTIONS', 'SSH_AUTH_SOCK'],
    ...['SSH_CONNECTION', 'SSH_TTY', 'SSH_TELEPORT_USER', 'SSH_SALLYPORT_USER', 'SSH_ORIGINAL_COMMAND'],
    ...['USER', 'HOME', 'SHELL', 'LOGNAME', 'BASH_ENV', 'ENV', 'SHELLOPTS', 'BASHOPTS', 'PS4', 'IFS'],
    ...['', '1A', 'A B', 'A=B', 'A\0', 'A;id', 'BASH_FUNC_ls%%', 'É', 'A\n'],
  ])('%j is not accepted', name => {
    const environment = clientEnvironment()
    expect(environment.add(request(name, 'x'))).toBe(false)
    expect(environment.variables.size).toBe(0)
  })

  test('is text without NUL', () => {
    const environment = clientEnvironment()
    expect(environment.add(request('A', Buffer.from([0x61, 0, 0x62])))).toBe(false)
    expect(environment.add(request('A', Buffer.from([0xff, 0xfe])))).toBe(false)
  })

  test('is bounded in number and in bytes', () => {
    const many = clientEnvironment()
    const accepted = Array.from({length: 10_000}, (_, i) => many.add(request(`V${i}`, 'x')))
    expect(accepted.filter(Boolean)).toHaveLength(256)
    expect(many.add(request('V1', 'again'))).toBe(true)

    const big = clientEnvironment()
    expect(big.add(request('A', 'x'.repeat(60_000)))).toBe(true)
    expect(big.add(request('B', 'x'.repeat(60_000)))).toBe(false)
    expect(big.add(request('A', 'x'.repeat(60_000)))).toBe(false)
    expect(big.add(request('C', 'x'.repeat(1_000_000)))).toBe(false)
  })

  test('that is malformed is no request', () => {
    expect(() => clientEnvironment().add(Buffer.from([0, 0, 0, 9, 65]))).toThrow()
    expect(() => clientEnvironment().add(Buffer.concat([request('A', 'b'), Buffer.of(0)]))).toThrow()
  })
})

describe('~/.tsh/environment', () => {
  const read = (text: string): Record<string, string> => Object.fromEntries(parseEnvironmentFile(text))

  test('has a variable a line, taken literally', () => {
    expect(read('A=1\n# no=comment\n\n  B = "two" $HOME #\nPATH=/opt/bin\r\nC=\nD=x=y')).toEqual({
      ...{A: '1', PATH: '/opt/bin', C: '', D: 'x=y'},
    })
  })

  test('leaves out what makes no sense, and what is not its to say', () => {
    expect(
      read('nonsense\n=x\n1A=x\nA B=x\nLD_PRELOAD=x\nNODE_OPTIONS=x\nSSH_AUTH_SOCK=x\nUSER=root\nN\0=x\nA=1'),
    ).toEqual({A: '1'})
  })

  test('counts up to line 1000', () => {
    const lines = Array.from({length: 1001}, (_, i) => `V${i + 1}=x`).join('\n')
    const variables = parseEnvironmentFile(lines)
    expect(variables.size).toBe(1000)
    expect(variables.has('V1001')).toBe(false)
  })

  test('of any content gives names and values that an environment can hold', () => {
    fc.assert(
      fc.property(fc.string({unit: 'binary'}), text => {
        for (const [name, value] of parseEnvironmentFile(text)) {
          expect(name).toMatch(/^[A-Za-z_][A-Za-z0-9_]*$/)
          expect(value).not.toMatch(/[\0\n]/)
        }
      }),
    )
  })
})

describe('the environment of a program', () => {
  test('says who, where, and in which session', () => {
    const environment = processEnvironment({account, session, connection, client: new Map()})
    expect(environment).toEqual({
      ...{USER: 'ann', LOGNAME: 'ann', HOME: '/home/ann', SHELL: '/bin/zsh', MAIL: '/var/mail/ann'},
      PATH: '/usr/local/bin:/usr/bin:/bin:/usr/games',
      SSH_CLIENT: '::1 50000 3022',
      SSH_CONNECTION: '::1 50000 10.0.0.1 3022',
      SSH_SESSION_ID: 'b2d1',
      ...{
        SSH_TELEPORT_USER: 'ann@example.com',
        SSH_TELEPORT_HOST_UUID: 'c3e2',
        SSH_TELEPORT_CLUSTER_NAME: 'one',
      },
      ...{
        SSH_SALLYPORT_USER: 'ann@example.com',
        SSH_SALLYPORT_HOST_UUID: 'c3e2',
        SSH_SALLYPORT_CLUSTER_NAME: 'one',
      },
    })
  })

  test('has the directories of administrators for root alone', () => {
    const root = {...account, uid: 0}
    expect(processEnvironment({account: root, session, client: new Map()}).PATH).toContain('/usr/sbin')
  })

  test('is overruled by no client, in part by the file, and told of the agent by the node', () => {
    const client = new Map([
      ['HOME', '/evil'],
      ['PATH', '/evil'],
      ['SSH_SESSION_ID', 'evil'],
      ['EDITOR', 'vi'],
    ])
    const file = new Map([
      ['PATH', '/opt/bin'],
      ['EDITOR', 'ed'],
      ['SSH_SESSION_ID', 'evil'],
    ])
    const agentSocket = '/tmp/teleport-x/teleport-1.socket'
    expect(processEnvironment({account, session, client, file, agentSocket})).toMatchObject({
      ...{
        HOME: '/home/ann',
        PATH: '/opt/bin',
        EDITOR: 'ed',
        SSH_SESSION_ID: 'b2d1',
        SSH_AUTH_SOCK: agentSocket,
      },
    })
  })
})
