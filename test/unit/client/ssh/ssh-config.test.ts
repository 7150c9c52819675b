import {writeFileSync} from 'node:fs'
import {join} from 'node:path'
import fc from 'fast-check'
import {describe, expect, it} from 'vitest'
import {profilePaths} from '../../../../src/lib/client/identity/profile.js'
import {sshConfig} from '../../../../src/lib/client/ssh/ssh-config.js'
import {run} from '../../../support/process.js'
import {temporaryDirectory} from '../../../support/temporary-directory.js'

const profile = {
  proxy: {host: 'proxy.example.com', webPort: 3080, sshHost: 'proxy.example.com', sshPort: 3023},
  ...{cluster: 'test', user: 'joe', keyStore: 'file' as const},
}
const paths = profilePaths('/home/joe/.sallyport', profile)
const block = (changes: Partial<Parameters<typeof sshConfig>[0]> = {}) =>
  sshConfig({profile, paths, patterns: [], command: ['sallyport'], ...changes})

/** What ssh makes of the block, by setting. */
async function effective(config: string, host = 'web-1'): Promise<Map<string, string>> {
  const file = join(temporaryDirectory(), 'config')
  writeFileSync(file, config)
  const {code, stdout, stderr} = await run('ssh', ['-G', '-T', '-F', file, `root@${host}`])
  expect(stderr).toBe('')
  expect(code).toBe(0)
  const lines = stdout.toString('utf8').trim().split('\n')
  return new Map(lines.map(line => [line.slice(0, line.indexOf(' ')), line.slice(line.indexOf(' ') + 1)]))
}

describe('the ssh_config block', () => {
  it('says to ssh what takes it through the proxy', async () => {
    const settings = await effective(block())
    expect(settings.get('proxycommand')).toBe(
      'sallyport proxy ssh --proxy=proxy.example.com:3080 --user=joe %r@%h:%p',
    )
    expect(settings.get('forwardagent'), 'hosts are not lent the agent').toBe('no')
    expect(settings.get('identityfile')).toBe(paths.privateKey)
    expect(settings.get('certificatefile')).toBe(paths.certificate)
    expect(settings.get('identitiesonly')).toBe('yes')
    expect(settings.get('userknownhostsfile')).toBe(paths.knownHosts)
  })

  it('is the same wherever the key is kept, so that another login does not invalidate it', () => {
    const blocks = (['file', 'keychain', 'agent'] as const).map(keyStore =>
      block({profile: {...profile, keyStore}}),
    )
    expect(new Set(blocks).size).toBe(1)
    expect(blocks[0]?.match(/IdentityFile .*/g)).toEqual([
      `IdentityFile "${paths.certificate}"`,
      `IdentityFile "${paths.privateKey}"`,
    ])
  })

  it('is for every host, and says how to narrow it', async () => {
    expect(block()).toContain("sallyport config web-1 '*.prod.example.com'")
    const narrow = block({patterns: ['web-*', '!web-9', '*.prod.example.com']})
    expect(narrow).not.toContain('for every host')
    expect((await effective(narrow, 'web-1')).has('proxycommand')).toBe(true)
    expect((await effective(narrow, 'web-9')).has('proxycommand')).toBe(false)
    expect((await effective(narrow, 'elsewhere')).has('proxycommand')).toBe(false)
  })

  it.each(['a b', 'a\nProxyCommand evil', '"', 'a,b', '', '$(x)'])('takes no pattern like %j', pattern => {
    expect(() => block({patterns: [pattern]})).toThrow(expect.objectContaining({code: 'invalid_input'}))
  })

  it('survives blanks, quotes and percent signs on the way through ssh_config and shell', async () => {
    const text = fc.string({
      minLength: 1,
      unit: fc.constantFrom('a', ' ', "'", '%', '\\', '$', ';', '"', '`', '#', 'é'),
    })
    const directory = temporaryDirectory()
    await fc.assert(
      fc.asyncProperty(text, text, async (word, user) => {
        const command = [
          process.execPath,
          '-e',
          'process.stdout.write(JSON.stringify(process.argv.slice(1)))',
          '--',
          word,
        ]
        const config = block({command, profile: {...profile, user}})
        const file = join(directory, 'config')
        writeFileSync(file, config)
        const proxyCommand = (await effective(config)).get('proxycommand') ?? ''
        // ssh expands the tokens and runs the rest with the shell.
        const expanded = proxyCommand.replace(
          /%([%rhp])/g,
          (_, token: string) => ({r: 'root', h: 'web-1', p: '22'})[token] ?? '%',
        )
        const {stdout} = await run('/bin/sh', ['-c', `exec ${expanded}`])
        expect(JSON.parse(stdout.toString('utf8'))).toEqual([
          ...[word, 'proxy', 'ssh', '--proxy=proxy.example.com:3080', `--user=${user}`, 'root@web-1:22'],
        ])
      }),
      {numRuns: 15},
    )
  })

  it('names a home with blanks and percent signs, and refuses one that ssh would expand', async () => {
    const odd = profilePaths('/home/jo e/100%', profile)
    const settings = await effective(block({paths: odd}))
    // -G shows paths as written; ssh turns %% into % when it opens them.
    expect(settings.get('identityfile')).toBe(odd.privateKey.replace('%', '%%'))
    for (const home of ['/home/$' + '{USER}', '/home/"x"', '/home/\n'])
      expect(() => block({paths: profilePaths(home, profile)})).toThrow(
        expect.objectContaining({code: 'invalid_input'}),
      )
  })
})
