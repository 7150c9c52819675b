import {mkdirSync, readdirSync, readFileSync, statSync, writeFileSync} from 'node:fs'
import {createServer} from 'node:net'
import {join} from 'node:path'
import {beforeAll, beforeEach, describe, expect, it} from 'vitest'
import type {AuthApi, UserSummary} from '../../src/lib/auth/contract.js'
import {createApiServer} from '../../src/lib/auth/http/server.js'
import {parseIdentity} from '../../src/lib/client/identity/identity-file.js'
import {problem} from '../../src/lib/errors/index.js'
import {
  fingerprint,
  formatAuthorizedKey,
  issueCertificate,
  parseAuthorizedKey,
  parseCertificate,
} from '../../src/lib/sshcert/index.js'
import {atEnd} from '../support/cleanup.js'
import {sshKeygen} from '../support/openssh.js'
import {type RunOptions, run} from '../support/process.js'
import {sallyportPath} from '../support/service.js'
import {temporaryDirectory} from '../support/temporary-directory.js'
import {hostAuthority, userAuthority, userFields} from '../unit/client/fixture.js'

const hostLine = formatAuthorizedKey(hostAuthority.publicBlob)
const created = Date.UTC(2026, 0, 2)

/** An auth service of three users behind the real API server on a real admin socket. */
function fakeService() {
  const calls: {method: string; input: unknown}[] = []
  const keys: string[] = []
  const users: UserSummary[] = [
    {name: 'joe', logins: ['joe', 'root'], roles: ['access'], state: 'active', created},
    {name: 'eve\u001b[2J', logins: ['eve'], roles: ['access'], state: 'invited', created},
    {name: 'ann', logins: ['ann'], roles: ['auditor'], state: 'locked', lockedUntil: created, created},
  ]
  const find = (name: string): UserSummary => {
    const user = users.find(one => one.name === name)
    if (user) return user
    throw problem('not_found', `there is no user ${name}`, {hint: 'see `sallyport users ls`'})
  }
  const invite = (user: string) => ({
    ...{user, url: 'https://proxy.example.com:3080/web/invite/TOKEN'},
    expires: Date.now() + 3_600_000,
  })
  const api: Partial<AuthApi> = {
    createUser: async ({name}) => invite(name),
    resetUser: async ({name}) => invite(find(name).name),
    updateUser: async ({name, logins, roles}) => ({
      ...find(name),
      ...(logins ? {logins} : {}),
      ...(roles ? {roles} : {}),
    }),
    listUsers: async () => users,
    removeUser: async name => void find(name),
    unlockUser: async name => void find(name),
    exportAuthorities: async ({type}) => `cert-authority ${hostLine} clustername=test&type=${type}`,
    listAuthorities: async () => [
      {type: 'host', fingerprint: fingerprint(hostAuthority.publicBlob), publicKey: hostLine},
    ],
    async signHost({principals, publicKey, ttlSeconds = 3600}) {
      keys.push(publicKey)
      if (principals.includes('*')) throw problem('invalid_input', 'a principal may not be *')
      const fields = userFields(parseAuthorizedKey(publicKey).blob, 'host', ttlSeconds)
      // A service that signs other names than asked must not go unnoticed.
      const names = principals[0] === 'liar' ? ['another'] : principals
      const host = {
        ...fields,
        kind: 'host' as const,
        principals: names,
        extensions: new Map<string, string>(),
      }
      return {certificate: formatAuthorizedKey(await issueCertificate(host, hostAuthority))}
    },
    async signUser({user, publicKey, ttlSeconds = 3600}) {
      keys.push(publicKey)
      const fields = userFields(parseAuthorizedKey(publicKey).blob, find(user).name, ttlSeconds)
      return {
        ...{user, clusterName: 'test', hostAuthorities: [hostLine]},
        certificate: formatAuthorizedKey(await issueCertificate(fields, userAuthority)),
        validBefore: Number(fields.validBefore) * 1000,
      }
    },
  }
  const noted = Object.fromEntries(
    Object.entries(api).map(([method, work]) => [
      method,
      (input: never) => {
        calls.push({method, input})
        return (work as (input: never) => unknown)(input)
      },
    ]),
  )
  return {calls, keys, as: () => noted as unknown as AuthApi}
}

const service = fakeService()
let dataDir: string
let out: string
beforeAll(async () => {
  dataDir = temporaryDirectory()
  const api = createApiServer(service, {error: () => {}})
  const server = createServer(socket => api.attach(socket, {kind: 'admin'}))
  await new Promise<void>(resolve => server.listen(join(dataDir, 'admin.sock'), resolve))
  atEnd(() => {
    api.close()
    server.close()
  })
})
beforeEach(() => {
  service.calls.length = 0
  service.keys.length = 0
  out = temporaryDirectory()
})

async function sallyport(args: string[], options: RunOptions = {}) {
  const result = await run(process.execPath, [sallyportPath, ...args], {
    ...options,
    env: {SALLYPORT_HOME: join(out, 'home'), NO_COLOR: '1', ...options.env},
  })
  return {...result, stdout: result.stdout.toString('utf8')}
}
const admin = (...args: string[]) => sallyport([...args, `--data-dir=${dataDir}`])

describe('users', () => {
  it('are added with logins as words or flags, and the link stands alone on a line', async () => {
    const {code, stdout, stderr} = await admin('users', 'add', 'joe', 'joe,root,ec2-user')
    expect({code, stderr}).toEqual({code: 0, stderr: ''})
    expect(stdout).toBe(
      'User joe has been created and may log in as joe, root, ec2-user\n' +
        'Give this link to joe; it is good for 1h, and once:\n' +
        'https://proxy.example.com:3080/web/invite/TOKEN\n',
    )
    const json = await admin(
      'users',
      'add',
      'ann',
      '--logins=ann,x',
      '--roles=access,auditor',
      '--ttl=8h',
      '--format=json',
    )
    expect(JSON.parse(json.stdout)).toMatchObject({
      user: 'ann',
      url: 'https://proxy.example.com:3080/web/invite/TOKEN',
      expires: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
    })
    await admin('users', 'add', 'bob')
    expect(service.calls.map(({input}) => input)).toEqual([
      {name: 'joe', logins: ['joe', 'root', 'ec2-user']},
      {name: 'ann', logins: ['ann', 'x'], roles: ['access', 'auditor'], ttlSeconds: 28_800},
      {name: 'bob', logins: ['bob']},
    ])
  })

  it('are listed, and no name reaches the terminal as an escape sequence', async () => {
    const {stdout} = await admin('users', 'ls')
    expect(stdout).toMatch(/^User\s+Logins\s+Roles\s+State\njoe\s+joe, root\s+access\s+active\n/)
    expect(stdout).toContain('eve\\x1b[2J')
    expect(stdout).toContain('locked until 2026-01-02 00:00:00 (UTC)')
    const json = await admin('users', 'ls', '--format=json')
    expect(
      JSON.parse(json.stdout).map((user: {name: string; state: string}) => [user.name, user.state]),
    ).toEqual([
      ...[
        ['joe', 'active'],
        ['eve\u001b[2J', 'invited'],
        ['ann', 'locked'],
      ],
    ])
  })

  it('are reset, changed, unlocked and removed', async () => {
    const reset = await admin('users', 'reset', 'joe')
    expect(reset.stdout.split('\n')).toContain('https://proxy.example.com:3080/web/invite/TOKEN')
    expect((await admin('users', 'update', 'joe', '--logins=joe')).stdout).toBe(
      'User joe may log in as joe, with the roles access\n',
    )
    expect(await admin('users', 'update', 'joe')).toMatchObject({code: 2})
    expect((await admin('users', 'unlock', 'joe')).stdout).toBe('User joe has been unlocked\n')
    expect((await admin('users', 'rm', 'joe')).stdout).toBe('User joe has been removed\n')
    expect(JSON.parse((await admin('users', 'unlock', 'joe', '--format=json')).stdout)).toEqual({
      ...{kind: 'user', name: 'joe', outcome: 'unlocked'},
    })
    expect(service.calls.map(({method}) => method)).toEqual([
      'resetUser',
      'updateUser',
      'unlockUser',
      'removeUser',
      'unlockUser',
    ])
  })

  it("that do not exist are the service's own error", async () => {
    expect(await admin('users', 'rm', 'nobody')).toMatchObject({
      ...{code: 34, stderr: 'sallyport: there is no user nobody; see `sallyport users ls` [not_found]\n'},
    })
  })
})

describe('the service', () => {
  it('is found by the data_dir of --config', async () => {
    const config = join(out, 'sallyport.yaml')
    writeFileSync(config, `teleport:\n  data_dir: ${dataDir}\n`)
    expect((await sallyport(['users', 'ls', '-c', config])).code).toBe(0)
  })

  it('that does not run is named, also where a crash left its socket', async () => {
    const gone = await sallyport(['users', 'ls', `--data-dir=${out}`])
    expect(gone).toMatchObject({
      code: 31,
      stderr:
        `sallyport: no auth service answers on ${out}/admin.sock; start one with \`sallyport start\`, or name the ` +
        'running one with --config or --data-dir [service_not_running]\n',
    })
    const script = `require('net').createServer().listen(${JSON.stringify(join(out, 'admin.sock'))}, () => process.kill(process.pid, 'SIGKILL'))`
    await run(process.execPath, ['-e', script])
    expect(readdirSync(out)).toContain('admin.sock')
    expect(await sallyport(['users', 'ls', `--data-dir=${out}`])).toMatchObject({code: 31})
  })
})

describe('auth export and ls', () => {
  it('print what sshd and known_hosts take', async () => {
    const {stdout} = await admin('auth', 'export', '--type=user')
    expect(stdout).toBe(`cert-authority ${hostLine} clustername=test&type=user\n`)
    await admin('auth', 'export', '--type=host', '--fingerprint=SHA256:x')
    expect(service.calls.at(-1)?.input).toEqual({type: 'host', fingerprint: 'SHA256:x'})
    expect((await admin('auth', 'ls')).stdout).toContain(fingerprint(hostAuthority.publicBlob))
    expect(JSON.parse((await admin('auth', 'ls', '--format=json')).stdout)).toEqual([
      {type: 'host', fingerprint: fingerprint(hostAuthority.publicBlob), public_key: hostLine},
    ])
  })
})

describe('auth sign', () => {
  it('makes a host key here, certified for exactly the names given', async () => {
    const name = join(out, 'api.example.com')
    const {code, stdout} = await admin(
      ...[
        'auth',
        'sign',
        '--host=api.example.com,ssh.example.com,64.225.88.175',
        '--format=openssh',
        `--out=${name}`,
      ],
    )
    expect(code).toBe(0)
    expect(stdout).toBe(`The credentials have been written to ${name}, ${name}-cert.pub\n`)
    expect(statSync(name).mode & 0o777).toBe(0o600)
    const shown = await sshKeygen(['-L', '-f', `${name}-cert.pub`])
    expect(shown).toContain('host certificate')
    expect(/Principals:([\s\S]*)Critical/.exec(shown)?.[1]?.trim().split(/\s+/)).toEqual([
      ...['api.example.com', 'ssh.example.com', '64.225.88.175'],
    ])
    // Only the public half went out, and the halves on disk belong together.
    const sent = parseAuthorizedKey(service.keys[0] ?? '').blob
    expect(parseAuthorizedKey(await sshKeygen(['-y', '-f', name])).blob).toEqual(sent)
    const certificate = parseAuthorizedKey(readFileSync(`${name}-cert.pub`, 'utf8')).blob
    expect(parseCertificate(certificate).publicKey).toEqual(sent)
  })

  it('replaces nothing unless told to, and asks for no certificate then', async () => {
    const name = join(out, 'n')
    writeFileSync(`${name}-cert.pub`, 'mine')
    const args = ['auth', 'sign', '--host=a', `--out=${name}`]
    expect(await admin(...args)).toMatchObject({
      code: 33,
      stderr: `sallyport: ${name}-cert.pub exists; choose another name, or add --overwrite [already_exists]\n`,
    })
    expect(readdirSync(out)).toEqual(['n-cert.pub'])
    expect(service.calls).toEqual([])
    expect((await admin(...args, '--overwrite')).code).toBe(0)
    expect(readdirSync(out).sort()).toEqual(['n', 'n-cert.pub'])
  })

  it('leaves nothing behind when the certificate is refused or is another', async () => {
    expect(await admin('auth', 'sign', '--host=*', `--out=${join(out, 'n')}`)).toMatchObject({code: 35})
    expect(await admin('auth', 'sign', '--host=liar', `--out=${join(out, 'n')}`)).toMatchObject({code: 17})
    mkdirSync(join(out, 'd-cert.pub'))
    expect(await admin('auth', 'sign', '--host=a', '--overwrite', `--out=${join(out, 'd')}`)).toMatchObject({
      code: 36,
    })
    expect(readdirSync(out)).toEqual(['d-cert.pub'])
  })

  it('writes an identity for a user', async () => {
    const name = join(out, 'identity')
    const {stdout} = await admin('auth', 'sign', '--user=joe', `--out=${name}`, '--ttl=1h')
    expect(stdout).toBe(`The credentials have been written to ${name}\n`)
    const identity = parseIdentity(readFileSync(name, 'utf8'))
    expect(parseCertificate(identity.certificate).keyId).toBe('joe')
    expect(identity).toMatchObject({cluster: 'test', hostAuthorities: [hostAuthority.publicBlob]})
    expect(service.calls[0]?.input).toMatchObject({ttlSeconds: 3600})
  })

  it.each([
    [['auth', 'sign'], 'exactly one of --host and --user'],
    [['auth', 'sign', '--host=a', '--user=b'], 'exactly one of --host and --user'],
    [['auth', 'sign', '--host=a', '--format=file'], 'two files'],
    [['auth', 'sign', '--host=a,,b'], 'empty item'],
  ])('takes %j for a slip', async (args, message) => {
    expect(await sallyport(args, {cwd: out})).toMatchObject({
      code: 2,
      stderr: expect.stringContaining(message),
    })
    expect(readdirSync(out)).toEqual([])
  })
})
