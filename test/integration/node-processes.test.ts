import {execFileSync, fork} from 'node:child_process'
import {readdirSync, readFileSync, readlinkSync, rmSync} from 'node:fs'
import {text} from 'node:stream/consumers'
import {beforeAll, describe, expect, test, vi} from 'vitest'
import {guardedStdio, runToEnd} from '../../src/lib/children/index.js'
import {
  type Account,
  type NodeProcess,
  type ProcessSpec,
  resolveAccount,
  startProcess,
} from '../../src/lib/node/process/index.js'
import {createLoginUser, isRoot, type LoginUser, needsRoot, withoutRoot} from '../support/login-user.js'
import {temporaryDirectory} from '../support/temporary-directory.js'

if (!isRoot) console.log(`skipped in node-processes: ${withoutRoot}`)

const terminal = {term: 'xterm', columns: 100, rows: 30, modes: Buffer.alloc(0)}
const ownName = execFileSync('id', ['-un'], {encoding: 'utf8'}).trim()
let own: Account

beforeAll(async () => {
  own = await resolveAccount(ownName)
})

const environmentOf = (account: Account): Record<string, string> => ({
  PATH: '/usr/local/bin:/usr/bin:/bin',
  HOME: account.home,
  USER: account.name,
})

const start = (command: string, options: Partial<ProcessSpec> = {}): Promise<NodeProcess> => {
  const account = options.account ?? own
  return startProcess({
    ...{account, environment: environmentOf(account), program: {kind: 'command', command}},
    ...options,
  })
}

interface Outcome {
  output: string
  errors: string
  exit: unknown
}

async function outcome(running: NodeProcess): Promise<Outcome> {
  const [output, errors, exit] = await Promise.all([
    text(running.stdout),
    running.stderr ? text(running.stderr) : '',
    running.exited,
  ])
  return {output: output.replaceAll('\r\n', '\n'), errors, exit}
}

const run = async (command: string, options: Partial<ProcessSpec> = {}): Promise<Outcome> =>
  outcome(await start(command, options))

/** Waits until the program has written `expected`, and returns what it wrote until then. */
function written(running: NodeProcess, expected: string | RegExp): Promise<string> {
  let seen = ''
  return new Promise((resolve, reject) => {
    running.stdout.on('data', (chunk: Buffer) => {
      seen += chunk.toString()
      if (seen.search(expected) >= 0) resolve(seen)
    })
    running.stdout.once('end', () => reject(new Error(`never came: ${expected}\n${seen}`)))
  })
}

/** Not so for a zombie, which waits for its new parent only. */
const isAlive = (pid: number): boolean => {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}

const terminalsOpen = (): number =>
  readdirSync('/proc/self/fd').filter(fd => {
    try {
      return /ptmx|pts/.test(readlinkSync(`/proc/self/fd/${fd}`))
    } catch {
      return false
    }
  }).length

describe.each([
  ['a terminal', {terminal}],
  ['pipes', {}],
])('a program on %s', (_, options) => {
  test('loses no output when it exits at once, 50 times of 50', {timeout: 60_000}, async () => {
    const line = 'x'.repeat(99)
    for (let round = 0; round < 50; round++) {
      const {output, exit} = await run(`yes ${line} | head -c 1000000; exit 7`, options)
      expect(output.length).toBe(1_000_000)
      expect(exit).toEqual({code: 7})
    }
  })

  test('loses no output when nobody listens yet as it exits', async () => {
    const running = await start('seq 1 500', options)
    await running.exited
    const {output} = await outcome(running)
    expect(output.split('\n')).toHaveLength(501)
  })

  test('waits for a reader that has stalled', async () => {
    const running = await start('yes', options)
    await new Promise<void>(resolve => {
      running.stdout.once('data', () => {
        running.stdout.pause()
        resolve()
      })
    })
    await expect.poll(() => isBlocked(running.pid), {timeout: 5000}).toBe(true)
    expect(running.stdout.readableLength).toBeLessThan(300_000)
    running.kill()
    await running.exited
  })

  test('tells how it ended', async () => {
    expect((await run('exit 0', options)).exit).toEqual({code: 0})
    expect((await run('exit 255', options)).exit).toEqual({code: 255})
    expect((await run('kill -TERM $$', options)).exit).toEqual({signal: 'TERM', coreDumped: false})
    expect((await run('kill -SYS $$', options)).exit).toEqual({signal: 'SIG@openssh.com', coreDumped: false})
  })

  test('finds no descriptor of another session', async () => {
    const others = await Promise.all([
      start('read x', {terminal}),
      start('read x'),
      start('read x', {terminal}),
    ])
    const {output} = await run('ls /proc/$$/fd; true', options)
    const again = await run('ls -l /proc/self/fd', options)
    for (const other of others) other.kill()
    // Bash keeps a terminal that it runs on as 255.
    expect(
      output
        .trim()
        .split(/\s+/)
        .filter(fd => fd !== '255'),
    ).toEqual(['0', '1', '2'])
    expect(again.output).not.toMatch(/ptmx|null/)
    await Promise.all(others.map(other => other.exited))
  })

  test('gives its descriptors back', async () => {
    await run('true', options)
    const before = terminalsOpen()
    for (let round = 0; round < 20; round++) await run('true', options)
    await expect.poll(terminalsOpen).toBeLessThanOrEqual(before)
  })

  test('is sent signals by name, and its whole process group with it', async () => {
    const running = await start(
      'trap "echo caught; exit 3" USR1; echo ready; while :; do sleep 0.1; done',
      options,
    )
    await written(running, 'ready')
    expect(running.signal('USR1')).toBe(true)
    await written(running, 'caught')
    expect(await running.exited).toEqual({code: 3})
    expect(running.signal('TERM')).toBe(true)
    for (const odd of ['', 'SIGTERM', 'STOP', '9', 'TERM; touch /tmp/x', 'toString'])
      expect(running.signal(odd)).toBe(false)
  })

  test('gets SIGHUP when the user has left, and is killed when it does not mind', {
    timeout: 20_000,
  }, async () => {
    const polite = await start('trap "exit 5" HUP; echo ready; while :; do sleep 0.1; done', options)
    await written(polite, 'ready')
    polite.hangUp()
    expect(await polite.exited).toEqual({code: 5})

    const deaf = await start('trap "" HUP; echo $$ $BASHPID; sleep 1000 & echo child $!; wait', options)
    const child = Number(/child (\d+)/.exec(await written(deaf, /child \d+/))?.[1])
    expect(isAlive(child)).toBe(true)
    deaf.hangUp()
    deaf.hangUp()
    expect(await deaf.exited).toEqual({signal: 'KILL', coreDumped: false})
    await expect.poll(() => isAlive(child)).toBe(false)
  })

  test('leaves nothing behind when it is killed', async () => {
    const running = await start('set -m; (trap "" HUP; sleep 1000) & echo child $!; wait', options)
    const child = Number(/child (\d+)/.exec(await written(running, /child \d+/))?.[1])
    running.kill()
    await running.exited
    await expect.poll(() => isAlive(child)).toBe(false)
  })
})

/** The first process of the group that does not run waits for the kernel to take its output. */
const isBlocked = (group: number): boolean =>
  execFileSync('ps', ['-A', '-o', 'pgid=,comm=,stat='], {encoding: 'utf8'})
    .split('\n')
    .some(line => new RegExp(`^\\s*${group}\\s+yes\\s+S`).test(line))

describe('a terminal', () => {
  test('is the controlling one, of the asked kind and size, and is resized', async () => {
    const running = await start(
      'trap "stty size; exit" WINCH; echo $TERM $SSH_TTY; tty; stty size </dev/tty; echo ready; while :; do sleep 0.05; done',
      {terminal},
    )
    const first = await written(running, 'ready')
    expect(first).toContain(`xterm ${running.tty}\r\n${running.tty}\r\n30 100\r\n`)
    const resized = written(running, '50 132')
    running.resize({columns: 132, rows: 50})
    await resized
    await running.exited
    running.resize({columns: 10, rows: 10})
  })

  test('has the modes that were asked for before the program starts', async () => {
    const modes = Buffer.from([53, 0, 0, 0, 0, 1, 0, 0, 0, 7, 72, 0, 0, 0, 0, 42, 0, 0, 0, 1, 0])
    const {output} = await run('stty -a', {terminal: {...terminal, modes}})
    expect(output).toMatch(/intr = \^G;/)
    expect(output).toMatch(/ -echo /)
    expect(output).toMatch(/ -onlcr /)
    expect(output).toMatch(/\biutf8/)
  })

  test('interrupts the program in its foreground at ^C', async () => {
    const running = await start('echo ready; exec sleep 1000', {terminal})
    await written(running, 'ready')
    running.stdin.write('\x03')
    expect(await running.exited).toEqual({signal: 'INT', coreDumped: false})
  })

  test('takes a big paste whole, as fast as the program reads', async () => {
    const bytes = Buffer.alloc(2_000_000, 'The quick brown fox. ')
    const running = await start('stty raw -echo; echo ready; head -c 2000000 | cksum', {terminal})
    await written(running, 'ready')
    running.stdin.write(bytes)
    const sum = execFileSync('cksum', {input: bytes, encoding: 'utf8'}).trim()
    await written(running, sum)
    expect(await running.exited).toEqual({code: 0})
  })

  test('drops what is typed for a program that is gone', async () => {
    const running = await start('true', {terminal})
    await outcome(running)
    const error = await new Promise(resolve => running.stdin.write('late', resolve))
    expect(error ?? undefined).toBeUndefined()
  })

  test('gives job control to a login shell', async () => {
    const running = await start('', {terminal, program: {kind: 'shell'}})
    running.stdin.write('echo "<$0>"; sleep 100 & jobs; kill %1; exit 4\n')
    const {output, exit} = await outcome(running)
    expect(output).toContain('<-bash>')
    expect(output).toMatch(/\[1\]\+?\s+Running\s+sleep 100/)
    expect(output).not.toMatch(/no job control/)
    expect(exit).toEqual({code: 4})
  })
})

describe('on pipes', () => {
  test('stdin, stdout and stderr are apart, and input has an end', async () => {
    const running = await start('echo problem >&2; cat')
    running.stdin.end('hello')
    expect(await outcome(running)).toEqual({output: 'hello', errors: 'problem\n', exit: {code: 0}})
  })

  test('stdout and stderr can be opened as files', async () => {
    const {output, errors, exit} = await run(
      'echo out >/dev/stdout; echo oh >/dev/stderr; echo more | tee /dev/stderr',
    )
    expect({output, errors, exit}).toEqual({output: 'out\nmore\n', errors: 'oh\nmore\n', exit: {code: 0}})
  })

  test('a full disk keeps nobody out', async () => {
    vi.stubEnv('TMPDIR', '/no/such/directory')
    const running = await start('seq 1 500; echo oh >&2')
    await running.exited
    const {output, errors} = await outcome(running)
    vi.unstubAllEnvs()
    expect(output.split('\n')).toHaveLength(501)
    expect(errors).toBe('oh\n')
  })

  test('a login shell reads its commands from stdin', async () => {
    const running = await start('', {program: {kind: 'shell'}})
    running.stdin.end('echo $0; pwd\n')
    expect((await outcome(running)).output).toContain(`-bash\n${own.home}\n`)
  })

  test('input for a program that is gone is dropped', async () => {
    const running = await start('exec <&-; echo ready; sleep 0.2')
    await written(running, 'ready')
    running.stdin.write(Buffer.alloc(1_000_000))
    expect(await running.exited).toEqual({code: 0})
  })

  test('a background process lives on after the program, as with sshd', async () => {
    const {output, exit} = await run('sleep 1000 >/dev/null 2>&1 </dev/null & echo $!')
    expect(exit).toEqual({code: 0})
    const child = Number(output)
    expect(isAlive(child)).toBe(true)
    process.kill(child, 'SIGKILL')
  })

  test('the environment is exactly what was given, whatever is in it', async () => {
    const odd = {
      ODD: `a 'b' "c" $(id) \`id\` \\ \n second line`,
      EMPTY: '',
      'BAD-NAME': '1',
      'X;touch /tmp/y': '2',
    }
    // Without start-up files: bash on a socket takes itself to be run by sshd and reads .bashrc.
    const account = {...own, home: temporaryDirectory()}
    const {output} = await run('env -0', {account, environment: {...environmentOf(account), ...odd}})
    const names = ['PWD', 'SHLVL', '_']
    const seen = Object.fromEntries(
      output
        .split('\0')
        .filter(Boolean)
        .map(pair => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]),
    )
    for (const name of names) delete seen[name]
    expect(seen).toEqual({...environmentOf(account), ODD: odd.ODD, EMPTY: ''})
  })

  test('a command that is too long is refused in words', async () => {
    await expect(start('x'.repeat(200_000))).rejects.toMatchObject({code: 'limit_exceeded'})
  })

  test('a shell that is not there ends with an error of its own', async () => {
    const {errors, exit} = await run('true', {account: {...own, shell: '/no/such/shell'}})
    expect(errors).toContain('/no/such/shell')
    expect(exit).toEqual({code: 127})
  })

  test('a nologin shell refuses a command and file transfers alike', async () => {
    const account = {...own, shell: '/usr/sbin/nologin'}
    for (const program of [{kind: 'command', command: 'id'}, {kind: 'sftp'}, {kind: 'shell'}] as const) {
      const {output, exit} = await run('', {account, program})
      expect(output).toContain('not available')
      expect(exit).toEqual({code: 1})
    }
  })
})

test('what the node starts for itself finds no terminal of a session', async () => {
  const running = await start('echo ready; read x', {terminal})
  await written(running, 'ready')
  expect(terminalsOpen()).toBeGreaterThan(0)
  const list = 'ls -l /proc/self/fd'
  const {output} = await runToEnd(['sh', '-c', list], {env: {}, milliseconds: 5000, maxBytes: 10_000})
  expect(output).toMatch(/ 1 -> /)
  expect(output).not.toMatch(/ptmx|pts/)
  const script = `process.send(require('child_process').execSync(${JSON.stringify(list)}, {encoding: 'utf8'}))`
  const child = fork('-e', [script], {
    execArgv: [],
    stdio: guardedStdio(['ignore', 'ignore', 'ignore', 'ipc']),
  })
  const answer = await new Promise(resolve => child.once('message', resolve))
  expect(answer).toMatch(/ 1 -> /)
  expect(answer).not.toMatch(/ptmx|pts/)
  running.kill()
  await running.exited
})

describe.runIf(isRoot)('as another user', needsRoot, () => {
  let user: LoginUser
  let account: Account

  beforeAll(async () => {
    user = createLoginUser()
    account = await resolveAccount(user.name)
  })

  test.each([
    ['a terminal', {terminal}],
    ['pipes', {}],
  ])('a program on %s has its ids and all its groups, and none of ours', async (_, options) => {
    const {output} = await run('id -u; id -g; id -G; pwd; grep -h ^Cap /proc/self/status', {
      account,
      ...options,
    })
    const [uid, gid, groups, directory, ...capabilities] = output.trim().split('\n')
    expect([uid, gid, directory]).toEqual([String(user.uid), String(user.gid), user.home])
    expect(groups?.split(' ').map(Number).sort()).toEqual([user.gid, user.group.gid].sort())
    expect(
      capabilities.filter(line => /^Cap(Inh|Prm|Eff|Amb)/.test(line)).every(line => /\t0+$/.test(line)),
    ).toBe(true)
  })

  test('owns its terminal, which its group may write to', async () => {
    const {output} = await run('stat -c "%U %a" $(tty); mesg', {account, terminal})
    expect(output).toContain(`${user.name} 620`)
    expect(output).toContain('is y')
  })

  test('may open its outputs as files', async () => {
    const {output, errors} = await run('echo out >/dev/stdout; echo oh >/dev/stderr', {account})
    expect([output, errors]).toEqual(['out\n', 'oh\n'])
  })

  test('starts in / when its home is not there, or not for it', async () => {
    expect((await run('pwd', {account: {...account, home: '/no/such/home'}})).output).toBe('/\n')
    expect((await run('pwd', {account: {...account, home: '/root'}})).output).toBe('/\n')
  })

  test('no variable of the user reaches what runs as root', async () => {
    // Would be looked up by whoever starts setpriv, and by its dynamic linker.
    const environment = {...environmentOf(account), PATH: user.home, LD_PRELOAD: '/no/such.so'}
    execFileSync('install', ['-m', '755', '-o', user.name, '/bin/false', `${user.home}/setpriv`])
    const {output, errors, exit} = await run('echo "$PATH"', {account, environment})
    expect(exit).toEqual({code: 0})
    expect(output).toBe(`${user.home}\n`)
    // By the user's own shell alone.
    expect(errors.match(/cannot be preloaded/g)).toHaveLength(1)
    rmSync(`${user.home}/setpriv`)
  })

  test('is sent signals with its own rights', async () => {
    const running = await start('trap "exit 9" USR2; echo ready; while :; do sleep 0.1; done', {account})
    await written(running, 'ready')
    running.signal('USR2')
    expect(await running.exited).toEqual({code: 9})
  })

  test('may not signal what has become root, as with sudo; the node may', async () => {
    const asRoot = `${user.home}/become-root`
    execFileSync('install', ['-m', '4755', '/usr/bin/setpriv', asRoot])
    const running = await start(`exec ${asRoot} --reuid=0 sh -c 'echo ready; exec sleep 1000'`, {account})
    await written(running, 'ready')
    expect(running.signal('KILL')).toBe(true)
    const ended = await Promise.race([running.exited, run('sleep 0.3', {account}).then(() => 'alive')])
    expect(ended).toBe('alive')
    running.kill()
    expect(await running.exited).toEqual({signal: 'HUP', coreDumped: false})
  })

  test('is served its files by the SFTP server as itself', async () => {
    const running = await start('', {account, program: {kind: 'sftp'}})
    // SSH_FXP_INIT with version 3, answered by SSH_FXP_VERSION (draft-ietf-secsh-filexfer-02 §4).
    running.stdin.write(Buffer.from([0, 0, 0, 5, 1, 0, 0, 0, 3]))
    const answer = await new Promise<Buffer>(resolve => running.stdout.once('data', resolve))
    expect(answer[4]).toBe(2)
    expect(execFileSync('ps', ['-o', 'user=', '-p', String(running.pid)], {encoding: 'utf8'}).trim()).toBe(
      user.name,
    )
    running.stdin.end()
    expect(await running.exited).toEqual({code: 0})
  })
})
