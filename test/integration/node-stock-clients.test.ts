import {randomBytes} from 'node:crypto'
import {chownSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {beforeAll, describe, expect, test} from 'vitest'
import {formatAuthorizedKey, formatPrivateKey} from '../../src/lib/sshcert/index.js'
import {createLoginUser, isRoot, type LoginUser, needsRoot, withoutRoot} from '../support/login-user.js'
import {clientOptions, ssh, sshAdd, startAgent, writePrivateFile} from '../support/openssh.js'
import {run} from '../support/process.js'
import {type ProcessServer, startProcessServer} from '../support/process-server.js'
import {temporaryDirectory} from '../support/temporary-directory.js'
import {certify, hostAuthority, hostIdentity, judgeUser, newKey} from '../unit/ssh/fixture.js'

if (!isRoot) console.log(`skipped in node-stock-clients: ${withoutRoot}`)

const directory = temporaryDirectory()
const knownHosts = join(directory, 'known_hosts')
writeFileSync(knownHosts, `@cert-authority * ${formatAuthorizedKey(hostAuthority.publicBlob)}\n`)

describe.runIf(isRoot)('a stock client at the processes of a node', needsRoot, () => {
  let user: LoginUser
  let server: ProcessServer
  let host: string
  let options: string[]
  let files: {identity: string; certificate: string}

  beforeAll(async () => {
    user = createLoginUser()
    host = `${user.name}@127.0.0.1`
    const key = newKey()
    const identity = writePrivateFile(join(directory, 'id'), formatPrivateKey(key, 'me'))
    const certificate = `${identity}-cert.pub`
    const blob = await certify(key, 'user', {principals: [user.name, '0', 'nobody-here']})
    writeFileSync(certificate, `${formatAuthorizedKey(blob)}\n`)
    files = {identity, certificate}
    server = await startProcessServer({
      hostKeys: [await hostIdentity()],
      judge: judgeUser,
      graceMilliseconds: 10_000,
      socketDirectory: '/tmp',
    })
    options = [
      ...clientOptions({port: server.port, knownHosts, ...files}),
      ...['-o', 'HostKeyAlias=target.test'],
    ]
  })

  test('runs a command as the user, with its status and both outputs', async () => {
    const result = await ssh([...options, host, 'id -un; echo oh >&2; cat; exit 3'], {input: 'hello'})
    expect({...result, stdout: result.stdout.toString()}).toEqual({
      ...{code: 3, stdout: `${user.name}\nhello`, stderr: 'oh\n'},
    })
  })

  test('gets a megabyte whole from a program that exits at once, on pipes and on a terminal', async () => {
    for (const flag of ['-T', '-tt']) {
      const {stdout} = await ssh([flag, ...options, host, 'yes 123456789 | head -c 1000000'])
      expect(stdout.toString().replaceAll('\r', '')).toHaveLength(1_000_000)
    }
  })

  test('has a login shell on a terminal that is the size of its own', async () => {
    const result = await run(
      'script',
      [...['-qec', `stty rows 33 cols 77; ssh -tt ${options.join(' ')} ${host}`, '/dev/null']],
      {input: 'stty size; echo "<$0:$TERM>"; exit 6\n', env: {TERM: 'vt100'}},
    )
    const output = result.stdout.toString()
    expect(output).toContain('33 77')
    expect(output).toContain('<-bash:vt100>')
    expect(result.code).toBe(6)
  })

  test('is told of the signal that ended its program', async () => {
    const result = await ssh([...options, host, 'kill -KILL $$'])
    // OpenSSH has a status of its own for that.
    expect(result.code).toBe(255)
    expect(server.failures).toEqual([])
  })

  test('passes variables, though none that loads code or changes the shell', async () => {
    const sent = ['LANG', 'LC_TEST', 'LD_PRELOAD', 'BASH_ENV', 'SSH_SESSION_ID', 'HOME', 'NODE_OPTIONS']
    const env = Object.fromEntries(sent.map(name => [name, '/evil']))
    const {stdout} = await ssh([
      ...options,
      '-o',
      `SetEnv=${sent.map(name => `${name}=/evil`).join(' ')}`,
      host,
      'env',
    ])
    expect(Object.keys(env).filter(name => stdout.toString().includes(`${name}=/evil`))).toEqual([
      ...['LANG', 'LC_TEST'],
    ])
  })

  test('copies files with sftp and scp as the user, both ways, and their bytes are the same', async () => {
    const bytes = randomBytes(3_000_000)
    const local = join(directory, 'file')
    writeFileSync(local, bytes)
    const sftp = await run('sftp', [...options, '-b', '-', host], {
      input: `put ${local} uploaded\nget uploaded ${local}.sftp\nmkdir dir\nrename uploaded dir/renamed\nls -l dir\n`,
    })
    expect(sftp).toMatchObject({code: 0})
    expect(readFileSync(`${local}.sftp`).equals(bytes)).toBe(true)
    expect(statSync(`${user.home}/dir/renamed`).uid).toBe(user.uid)

    for (const protocol of ['-s', '-O']) {
      expect(await run('scp', [protocol, ...options, local, `${host}:copied${protocol}`])).toMatchObject({
        code: 0,
      })
      expect(statSync(`${user.home}/copied${protocol}`).uid).toBe(user.uid)
      const back = `${local}.back${protocol}`
      expect(await run('scp', [protocol, ...options, `${host}:copied${protocol}`, back])).toMatchObject({
        code: 0,
      })
      expect(readFileSync(back).equals(bytes)).toBe(true)
    }
  })

  test('gets no file that the user may not read, and writes none where the user may not', async () => {
    const secret = join(directory, 'secret')
    writeFileSync(secret, 'secret', {mode: 0o600})
    const back = join(directory, 'stolen')
    const read = await run('scp', [...options, `${host}:${secret}`, back])
    expect(read.code).not.toBe(0)
    expect(existsSync(back)).toBe(false)
    const written = await run('scp', [...options, secret, `${host}:/etc/planted`])
    expect(written.stderr).toMatch(/[Pp]ermission denied/)
  })

  test('lends its agent, whose socket nobody else can use and which is gone afterwards', async () => {
    const agent = await startAgent(directory)
    await sshAdd([files.identity], {env: agent.env})
    const result = await ssh(
      [
        ...options,
        '-A',
        host,
        'stat -c "%U %a %F" $SSH_AUTH_SOCK $(dirname $SSH_AUTH_SOCK); echo $SSH_AUTH_SOCK; ssh-add -l; ssh-add -l',
      ],
      {env: agent.env},
    )
    const [socket, folder, path = '', ...keys] = result.stdout.toString().trim().split('\n')
    expect([socket, folder]).toEqual([`${user.name} 600 socket`, `${user.name} 700 directory`])
    expect(path).toMatch(/^\/tmp\/teleport-[A-Za-z0-9]{6}\/teleport-\d+\.socket$/)
    expect(keys.filter(line => line.includes('ED25519')).length).toBeGreaterThanOrEqual(2)
    await expect.poll(() => statSync(path, {throwIfNoEntry: false})).toBeUndefined()
    await expect.poll(() => statSync(join(path, '..'), {throwIfNoEntry: false})).toBeUndefined()
    await agent.stop()
  })

  test('gets nothing as a login that does not exist or is a number', async () => {
    for (const login of ['0', 'nobody-here']) {
      const before = server.failures.length
      const result = await ssh([...options, `${login}@127.0.0.1`, 'id'])
      expect(result.stdout.toString()).toBe('')
      expect(server.failures.slice(before)).toMatchObject([{code: 'not_found'}])
    }
  })

  test('that leaves in the middle takes its program with it', async () => {
    const mark = join(user.home, 'marks')
    mkdirSync(mark)
    chownSync(mark, user.uid, user.gid)
    const left = ssh(
      [
        ...options,
        host,
        `trap 'touch ${mark}/hup; exit' HUP; touch ${mark}/began; while :; do sleep 0.1; done`,
      ],
      {deadline: 1000},
    )
    await expect(left).rejects.toThrow(/did not end/)
    await expect
      .poll(() => statSync(join(mark, 'hup'), {throwIfNoEntry: false})?.uid, {timeout: 5000})
      .toBe(user.uid)
  })
})
