import {readFileSync} from 'node:fs'
import {fileURLToPath} from 'node:url'
import {describe, expect, test} from 'vitest'
import {sshValueFlags} from '../../src/lib/cli/remote-argv.js'
import {isRoot, needsRoot} from '../support/login-user.js'
import {run} from '../support/process.js'
import {temporaryDirectory} from '../support/temporary-directory.js'

interface Manifest {
  commands: Record<
    string,
    {
      id: string
      summary?: string
      description?: string
      hidden?: boolean
      examples?: string[]
      flags: Record<string, {type: string; char?: string; allowNo?: boolean}>
    }
  >
}

const path = (name: string): string => fileURLToPath(new URL(`../../${name}`, import.meta.url))
const manifest: Manifest = JSON.parse(readFileSync(path('oclif.manifest.json'), 'utf8'))
const commands = Object.values(manifest.commands)
const home = temporaryDirectory()

const sallyport = (...args: string[]) => run(path('bin/run.js'), args, {env: {HOME: home}})

describe('the command line', () => {
  test.skipIf(!isRoot)('works for a user id without an account and without a home', needsRoot, async () => {
    const nobody = ['--reuid=54399', '--regid=54399', '--clear-groups', 'env', '-i', process.execPath]
    const as = (...args: string[]) => run('setpriv', [...nobody, path('bin/run.js'), ...args])
    expect(await as('login', '--help')).toMatchObject({code: 0, stderr: ''})
    const unnamed = await as('login', '--proxy=127.0.0.1:1')
    expect(unnamed).toMatchObject({code: 2, stderr: expect.stringContaining('no name is given')})
  })

  test('says its version, with and without loading a command', async () => {
    const line = new RegExp(`^sallyport/\\d+\\.\\d+\\.\\d+ \\S+ node-${process.version}\\n$`)
    expect(String((await sallyport('--version')).stdout)).toMatch(line)
    const {stdout} = await sallyport('version', '--format', 'json')
    expect(JSON.parse(String(stdout))).toMatchObject({name: 'sallyport', node: process.version})
  })

  test('is the same straight from the sources', async () => {
    const words = ['users', 'add', '--help']
    const fromSources = await run(process.execPath, ['--import', 'tsx', path('bin/dev.js'), ...words], {
      ...{cwd: path('.'), env: {HOME: home}},
    })
    expect(fromSources).toEqual(await sallyport(...words))
  })

  test.each([
    [['frobnicate'], 'sallyport: there is no command "frobnicate"; see sallyport --help [usage]\n'],
    [['version', '--frob'], 'sallyport: unknown flag --frob; see sallyport version --help [usage]\n'],
    [['version', 'extra'], 'sallyport: there is no command "version extra"; see sallyport --help [usage]\n'],
  ])('%j is one line on stderr and exit status 2', async (args, line) => {
    expect(await sallyport(...args)).toEqual({code: 2, stdout: Buffer.alloc(0), stderr: line})
  })

  test('shows the stack of an error under --debug only', async () => {
    const {stderr, code} = await sallyport('version', '--frob', '--debug')
    expect(code).toBe(2)
    expect(stderr.split('\n')[0]).toBe('sallyport: unknown flag --frob; see sallyport version --help [usage]')
    expect(stderr).toMatch(/\n\s+at /)
  })

  test('writes errors as JSON where the answer would be JSON, still on stderr', async () => {
    const {stdout, stderr} = await sallyport('version', '--frob', '--format=json')
    expect(stdout).toHaveLength(0)
    expect(JSON.parse(stderr)).toEqual({
      error: {code: 'usage', message: 'unknown flag --frob', hint: 'see sallyport version --help'},
    })
  })

  test('ends quietly when its reader has seen enough', async () => {
    const {stdout, stderr} = await run('sh', ['-c', `${path('bin/run.js')} --help | head -n 1`], {
      env: {HOME: home},
    })
    expect(String(stdout).split('\n')).toHaveLength(2)
    expect(stderr).toBe('')
  })

  test.each([['--version'], ['--help'], ['version'], ['version --help']])(
    'says that nobody got what it wrote: %s to a full disk',
    async words => {
      const {code, stderr} = await run('sh', ['-c', `${path('bin/run.js')} ${words} > /dev/full`], {
        env: {HOME: home},
      })
      expect([code, stderr]).toEqual([
        36,
        'sallyport: standard output cannot be written: the disk is full [store_failed]\n',
      ])
    },
  )

  test('says it as JSON where the answer would be JSON, and keeps its status where even that is lost', async () => {
    const full = async (line: string) =>
      await run('sh', ['-c', `${path('bin/run.js')} ${line}`], {env: {HOME: home}})
    const {code, stderr} = await full('version --format json > /dev/full')
    expect(code).toBe(36)
    expect(JSON.parse(stderr)).toEqual({
      error: {code: 'store_failed', message: 'standard output cannot be written: the disk is full'},
    })
    expect(await full('version > /dev/full 2> /dev/full')).toMatchObject({code: 36, stderr: ''})
    expect((await full('version --frob 2> /dev/full')).code).toBe(2)
  })

  test('begins its help with the two lines that a newcomer needs, without colour in a pipe', async () => {
    const text = String((await sallyport('--help')).stdout)
    expect(text).toMatch(/START HERE\n {2}\$ sallyport start .*\n {2}\$ sallyport login /)
    expect(text).not.toMatch(/[^\P{Cc}\n]/u)
    for (const {id, hidden} of commands)
      if (!hidden) expect(text).toContain(`\n  ${id.replaceAll(':', ' ')} `)
  })

  test('splits the words of ssh by the flags that it has', () => {
    const flags = Object.entries(manifest.commands.ssh?.flags ?? {}).filter(([, {type}]) => type === 'option')
    const words = flags.flatMap(([flag, {char}]) => [`--${flag}`, ...(char ? [`-${char}`] : [])])
    expect([...sshValueFlags].sort()).toEqual(words.sort())
  })

  test('offers completion', async () => {
    const {code, stdout} = await sallyport('autocomplete', 'bash')
    expect(code).toBe(0)
    expect(String(stdout)).toContain('sallyport')
  })
})

describe.each(commands.map(command => [command.id.replaceAll(':', ' '), command] as const))(
  '%s',
  (name, command) => {
    test('has a description on one line and an example that uses flags it has', () => {
      expect(command.summary ?? command.description).toMatch(/^[^\n]{8,}$/)
      const known = Object.entries(command.flags).flatMap(([flag, {char, allowNo}]) => [
        `--${flag}`,
        ...(allowNo ? [`--no-${flag}`] : []),
        ...(char ? [`-${char}`] : []),
      ])
      const call = `<%= config.bin %> ${name}`
      const calling = command.examples?.filter(example => example.includes(call)) ?? []
      expect(calling.length).toBeGreaterThan(0)
      for (const example of calling) {
        // What stands behind ssh's target is the remote command's.
        const own =
          example.slice(example.indexOf(call)).split(name === 'ssh' ? / [a-z]+@/ : /['|\n]/)[0] ?? ''
        for (const [, flag] of own.matchAll(/\s(--[a-z][a-z-]*|-[a-zA-Z]\b)/g)) expect(known).toContain(flag)
      }
    })

    test('prints its help with the example', async () => {
      const {code, stdout, stderr} = await sallyport(...name.split(' '), '--help')
      expect({code, stderr}).toEqual({code: 0, stderr: ''})
      expect(String(stdout)).toContain('EXAMPLES\n')
    })
  },
)
