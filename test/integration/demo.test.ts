import {execFileSync, spawnSync} from 'node:child_process'
import {once} from 'node:events'
import {
  appendFileSync,
  chmodSync,
  chownSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs'
import {join} from 'node:path'
import {createInterface} from 'node:readline'
import {fileURLToPath} from 'node:url'
import {describe, expect, it} from 'vitest'
import {isRoot, needsRoot} from '../support/login-user.js'
import {descendants, type PipedProcess, start} from '../support/process.js'
import {temporaryDirectory} from '../support/temporary-directory.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
const words = ['node_modules/tsx/dist/cli.mjs', 'scripts/demo.ts']

interface Demo {
  process: PipedProcess
  /** Everything shown so far, both streams in the order they came. */
  shown(): string
  /** Resolves when a line has the text. */
  line(text: string): Promise<void>
  ended: Promise<number | null>
  /** What is left of its files, and of the processes that it had when it showed a command. */
  leftovers(): string[]
}

interface DemoOptions {
  flags?: readonly string[]
  /** Owner of its files, and who runs it unless a wrapper sees to that. */
  uid?: number
  /** A command that runs the command after it. */
  wrapper?: readonly string[]
}

/** Starts the demo with a directory for temporary files and a home that are its own. */
function startDemo({flags = [], uid, wrapper}: DemoOptions = {}): Demo {
  const directory = temporaryDirectory()
  const [temporary, home] = [join(directory, 't'), join(directory, 'home')]
  for (const path of [temporary, home]) {
    mkdirSync(path)
    if (uid !== undefined) chownSync(path, uid, uid)
  }
  chmodSync(directory, 0o755)
  const [command = '', ...rest] = [...(wrapper ?? []), process.execPath, ...words, ...flags]
  const child = start(command, rest, {
    ...(uid === undefined || wrapper ? {} : {uid, gid: uid}),
    cwd: root,
    env: {TMPDIR: temporary, HOME: home, SSH_AUTH_SOCK: join(directory, 'no-agent')},
  })
  let shown = ''
  const processes = new Set<number>()
  const waiting: {text: string; resolve: () => void}[] = []
  for (const stream of [child.stdout, child.stderr])
    createInterface({input: stream}).on('line', line => {
      shown += `${line}\n`
      if (line.startsWith('$ ')) for (const pid of descendants(child.pid ?? 0)) processes.add(pid)
      for (const {text, resolve} of waiting) if (line.includes(text)) resolve()
    })
  return {
    process: child,
    shown: () => shown,
    line: text => new Promise(resolve => void waiting.push({text, resolve})),
    ended: once(child, 'close').then(([code]) => code as number | null),
    leftovers: () => [
      ...readdirSync(temporary).filter(name => name.startsWith('sallyport-')),
      ...readdirSync(home).filter(name => name.includes('sallyport') || name.includes('ssh')),
      ...[...processes].map(commandLine).filter(line => line !== ''),
    ],
  }
}

/** The command line of a process; empty when it has ended, also when nobody has asked for its status yet. */
function commandLine(pid: number): string {
  const {stdout} = spawnSync('ps', ['-o', 'stat=,args=', '-p', String(pid)], {encoding: 'utf8'})
  return stdout.startsWith('Z') ? '' : stdout.trim()
}

/** The output of the last command that begins so. */
const outputOf = (shown: string, command: string): string =>
  shown.slice(shown.lastIndexOf(`\n$ ${command}`) + 1).split(/^(?:[$#] .*)?\n/m)[1] ?? ''

async function expectWholeStory(demo: Demo): Promise<void> {
  expect(await demo.ended, demo.shown()).toBe(0)
  const said = outputOf(demo.shown(), 'sallyport ssh ')
  expect(said).toMatch(/^Hello from \S+\n.+\n$/)
  expect(outputOf(demo.shown(), 'sallyport play ')).toBe(said)
  expect(demo.shown()).toMatch(/is what was recorded: \d+ chunks, unbroken and signed/)
  expect(demo.shown()).toContain('T2004I  session.end')
  expect(demo.shown()).toContain('Logged out of demo as joe')
  await expect.poll(demo.leftovers).toEqual([])
}

describe('npm run demo', () => {
  it('is this script', () => {
    const {scripts} = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
    expect(scripts.demo).toBe('tsx scripts/demo.ts')
  })

  it('records and replays a session on a real sshd', async () => {
    const demo = startDemo({flags: ['--target=sshd']})
    await expectWholeStory(demo)
    expect(demo.shown()).toMatch(/^\$ \/\S+\/sshd -D/m)
    expect(demo.shown()).toMatch(/^\$ ssh -F ssh_config /m)
  })

  it('does so without one', async () => {
    const demo = startDemo({flags: ['--target=built-in']})
    await expectWholeStory(demo)
    expect(demo.shown()).toContain('a small SSH server of this script is the host')
    expect(demo.shown()).not.toMatch(/\/sshd/)
  })

  it.runIf(isRoot)('needs no root and no login shell', needsRoot, async () => {
    const demo = startDemo({uid: 65_534})
    await expectWholeStory(demo)
    expect(demo.shown()).toMatch(/\((sshd knows no account|the account \S+ (has|is))/)
  })

  it.runIf(isRoot && canUnshare())(
    'runs sshd without root for an account that sshd lets in',
    {meta: {lack: 'it needs root and a mount namespace'}},
    async () => {
      const [uid, etc] = [54_321, join(temporaryDirectory(), 'etc')]
      // All of it: a file that others replace meanwhile, with accounts of their own, would show through a mount on it.
      cpSync('/etc', etc, {recursive: true, verbatimSymlinks: true})
      appendFileSync(join(etc, 'passwd'), `scout:x:${uid}:${uid}::/:/bin/sh\n`)
      const asScout = `mount --bind ${etc} /etc && exec setpriv --reuid=${uid} --regid=${uid} --clear-groups "$@"`
      const demo = startDemo({
        flags: ['--target=sshd'],
        uid,
        wrapper: ['unshare', '-m', 'sh', '-c', asScout, 'sh'],
      })
      await expectWholeStory(demo)
      expect(demo.shown()).toMatch(/^\$ sallyport ssh .* scout@127\.0\.0\.1/m)
    },
  )

  it('with --keep goes on until Ctrl-C, and works as it says', async () => {
    const demo = startDemo({flags: ['--keep', '--target=built-in']})
    await demo.line('its certificate self-signed')
    const [instructions = ''] = /^ {2}cd [\s\S]*^ {2}sallyport recordings .*$/m.exec(demo.shown()) ?? []
    const script = instructions.replace(/(sallyport ssh .*)/, "$1 'echo again'")
    const used = execFileSync('sh', ['-ec', script], {encoding: 'utf8', timeout: 20_000})
    expect(used).toMatch(/^again\n/)
    expect(used.match(/sealed/g)?.length).toBeGreaterThanOrEqual(2)
    demo.process.kill('SIGINT')
    expect(await demo.ended).toBe(0)
    await expect.poll(demo.leftovers).toEqual([])
  })

  it('cleans up after Ctrl-C in the middle', async () => {
    const demo = startDemo()
    await demo.line('$ sallyport signup')
    demo.process.kill('SIGINT')
    expect(await demo.ended).toBe(130)
    expect(demo.shown()).not.toContain('failed')
    await expect.poll(demo.leftovers).toEqual([])
  })

  it('ends with 1 and the reason when a step fails, and cleans up', async () => {
    // A command of the story that is not what it should be.
    const bin = temporaryDirectory()
    writeFileSync(join(bin, 'base64'), '#!/bin/sh\necho short\n', {mode: 0o755})
    const demo = startDemo({wrapper: ['env', `PATH=${bin}:${process.env.PATH}`]})
    expect(await demo.ended).toBe(1)
    expect(demo.shown()).toContain('a password must have 12 to 128 characters')
    expect(demo.shown()).toContain('The demo failed: the command above ended with 35')
    await expect.poll(demo.leftovers).toEqual([])
  })

  it('explains itself when the flags are wrong', async () => {
    const demo = startDemo({flags: ['--target=vax']})
    expect(await demo.ended).toBe(2)
    expect(demo.shown()).toContain('Usage: npm run demo')
  })
})

/** Whether this root may give a process a file system view of its own; in many containers it may not. */
function canUnshare(): boolean {
  return spawnSync('unshare', ['-m', 'mount', '--bind', '/etc/passwd', '/etc/passwd']).status === 0
}
