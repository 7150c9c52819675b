import {generateKeyPairSync} from 'node:crypto'
import {existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {describe, expect, it, test} from 'vitest'
import {dropInText, enrolPaths, parseSshdSettings} from '../../../src/lib/client/enrol/sshd-config.js'
import {enrolHost, enrolWithToken, planEnrolment} from '../../../src/lib/client/index.js'
import {ssh} from '../../support/openssh.js'
import {type Sshd, startSshd} from '../../support/sshd.js'
import {temporaryDirectory} from '../../support/temporary-directory.js'
import {serveCluster} from '../auth/cluster/cluster-fixture.js'
import {type Auth, openAuth} from '../auth/fixture.js'

interface Host {
  directory: string
  config: string
  dropIn: string
  sshd: Sshd
}

/** A plain sshd whose configuration includes a directory, as distributions have it. */
async function startHost(extra = ''): Promise<Host> {
  const directory = temporaryDirectory()
  const included = join(directory, 'sshd_config.d')
  mkdirSync(included)
  const sshd = await startSshd({directory, extraConfig: `${extra}Include ${included}/*.conf`})
  return {
    directory,
    sshd,
    config: join(directory, 'sshd_config'),
    dropIn: join(included, '50-sallyport.conf'),
  }
}

async function startCluster(): Promise<{
  auth: Auth
  where: Parameters<typeof enrolWithToken>[1]
  token(): Promise<string>
}> {
  const auth = await openAuth({clock: {now: Date.now()}})
  const {server} = await serveCluster(auth)
  const {caPins} = await auth.admin.createToken({roles: ['openssh']})
  return {
    auth,
    where: {server: `127.0.0.1:${server.address.port}`, pins: caPins.join(','), insecure: false},
    token: async () => (await auth.admin.createToken({roles: ['openssh']})).token,
  }
}

/** What is in a directory and below it, by path. */
const files = (directory: string): Record<string, string> =>
  Object.fromEntries(
    readdirSync(directory, {recursive: true, encoding: 'utf8'})
      .filter(name => statSync(join(directory, name)).isFile() && !name.endsWith('.pid'))
      .map(name => [name, readFileSync(join(directory, name), 'utf8')]),
  )

describe('enrolling the sshd of a machine', () => {
  const world = async (extra = '') => {
    const [host, cluster] = [await startHost(extra), await startCluster()]
    const wish = async (changes: Partial<Parameters<typeof enrolHost>[0]> = {}) => ({
      ...{config: host.config, token: await cluster.token(), now: Date.now},
      ...{hostname: 'web-1', names: [], labels: {env: 'prod'}},
      address: `127.0.0.1:${host.sshd.port}`,
      enrol: (request: Parameters<typeof enrolWithToken>[0]) => enrolWithToken(request, cluster.where),
      ...changes,
    })
    return {...host, ...cluster, wish}
  }

  it('gives it a certificate that a stock client believes, and keeps the key it had', async () => {
    const {auth, sshd, wish, directory, dropIn} = await world()
    const options = await wish({names: ['host.example']})
    const {enrolment} = await enrolHost(options)
    expect(await auth.admin.listHosts({})).toMatchObject([
      {id: enrolment.id, hostname: 'web-1', address: `127.0.0.1:${sshd.port}`, labels: {env: 'prod'}},
    ])
    // Its key is certified as it is: nobody who knows the host is warned.
    expect(readFileSync(dropIn, 'utf8')).not.toContain('HostKey')
    expect(existsSync(join(directory, 'sallyport_host'))).toBe(false)
    const trust = join(directory, 'known_hosts')
    writeFileSync(trust, `@cert-authority * ${enrolment.hostAuthorities[0]}\n`)
    const look = (known: string, alias: string) =>
      ssh([
        ...['-F', 'none', '-v', '-o', 'BatchMode=yes', '-o', `UserKnownHostsFile=${known}`],
        ...['-o', `HostKeyAlias=${alias}`, '-p', String(sshd.port), 'nobody@127.0.0.1', 'true'],
      ])
    // Nobody may log in, and that is as far as it comes only where the host was believed.
    expect((await look(trust, 'host.example')).stderr).toMatch(
      /matches CA host certificate|Permission denied/,
    )
    expect((await look(trust, 'other.example')).stderr).not.toContain('Permission denied')
    const pinned = join(directory, 'pinned')
    writeFileSync(pinned, `old ${sshd.knownHostsLine.split(' ').slice(1).join(' ')}\n`)
    expect((await look(pinned, 'old')).stderr).toContain('Permission denied')
  })

  it('may be done again: the same host, with other labels and names', async () => {
    const {auth, wish, directory} = await world()
    const {enrolment} = await enrolHost(await wish())
    const made = files(directory)
    const again = await enrolHost(await wish({labels: {env: 'test'}, hostname: 'web-2'}))
    expect(again.enrolment.id).toBe(enrolment.id)
    expect(Object.keys(files(directory))).toEqual(Object.keys(made))
    expect(await auth.admin.listHosts({})).toMatchObject([{hostname: 'web-2', labels: {env: 'test'}}])
  })

  it('makes a key for a host that has none of the kind, and has the others served on', async () => {
    const directory = temporaryDirectory()
    mkdirSync(join(directory, 'sshd_config.d'))
    const hostKey = generateKeyPairSync('ec', {namedCurve: 'P-256'}).privateKey
    const sshd = await startSshd({
      directory,
      hostKey,
      extraConfig: 'Include sshd_config.d/*.conf'.replace(' ', ` ${directory}/`),
    })
    const {wish} = await world()
    await enrolHost(await wish({config: join(directory, 'sshd_config'), address: `127.0.0.1:${sshd.port}`}))
    expect(statSync(join(directory, 'sallyport_host')).mode & 0o777).toBe(0o600)
    expect(readFileSync(join(directory, 'sshd_config.d', '50-sallyport.conf'), 'utf8')).toContain(
      `HostKey ${join(directory, 'host_key')}\nHostKey ${join(directory, 'sallyport_host')}\n`,
    )
    const known = join(directory, 'known')
    writeFileSync(known, `${sshd.knownHostsLine}\n`)
    const seen = await ssh([
      ...['-F', 'none', '-o', 'BatchMode=yes', '-o', `UserKnownHostsFile=${known}`],
      ...['-p', String(sshd.port), 'nobody@127.0.0.1', 'true'],
    ])
    expect(seen.stderr).toContain('Permission denied')
  })

  it('goes on letting in whom it let in before', async () => {
    const first = await startCluster()
    const [user] = (await first.auth.admin.exportAuthorities({type: 'user'})).split('\n')
    const directory = temporaryDirectory()
    const other = join(directory, 'other_ca.pub')
    writeFileSync(other, `${user?.replace('cert-authority ', '')}\n`)
    const host = await world(`# before\n`)
    writeFileSync(host.config, `${readFileSync(host.config, 'utf8')}TrustedUserCAKeys ${other}\n`)
    await enrolHost(await host.wish())
    const lines = readFileSync(join(host.directory, 'sallyport_user_ca.pub'), 'utf8').trim().split('\n')
    expect(lines).toHaveLength(2)
    expect(lines[0]).toBe(user?.replace('cert-authority ', ''))
  })

  it('puts everything back where sshd would not use what it is given', async () => {
    const {wish, directory, auth, sshd} = await world()
    const before = files(directory)
    // sshd takes the first value that it finds.
    const first = join(directory, 'sshd_config.d', '00-first.conf')
    const other = join(directory, 'other_ca.pub')
    writeFileSync(
      other,
      `${(await auth.admin.exportAuthorities({type: 'user'})).replace('cert-authority ', '')}`,
    )
    writeFileSync(first, `TrustedUserCAKeys ${other}\n`)
    await expect(enrolHost(await wish())).rejects.toMatchObject({
      code: 'config_invalid',
      message: expect.stringMatching(/would trust .* and not ours; sshd has its old configuration again$/),
    })
    const left = files(directory)
    delete left['sshd_config.d/00-first.conf']
    delete left['other_ca.pub']
    expect(left).toEqual(before)
    expect(sshd.log()).not.toContain('ended')
  })

  it('sends nothing to an auth service that the pin does not name', async () => {
    const {wish, where, auth, directory} = await world()
    const pins = `sha256:${'0'.repeat(64)}`
    const options = await wish({enrol: request => enrolWithToken(request, {...where, pins})})
    await expect(enrolHost(options)).rejects.toMatchObject({code: 'tls_untrusted'})
    expect(await auth.admin.listTokens()).toHaveLength(2)
    expect(existsSync(join(directory, 'sallyport_host'))).toBe(false)
  })

  it('can be looked at first: nothing is asked and nothing written', async () => {
    const {wish, directory, dropIn} = await world()
    const before = files(directory)
    const plan = await planEnrolment(await wish({enrol: () => Promise.reject(new Error('asked'))}))
    expect(plan.paths.dropIn).toBe(dropIn)
    expect(plan.dropIn).toContain('TrustedUserCAKeys ')
    expect(files(directory)).toEqual(before)
  })

  it('says what sshd says of a configuration that it does not accept already', async () => {
    const {wish, config} = await world()
    writeFileSync(config, `${readFileSync(config, 'utf8')}Nonsense yes\n`)
    await expect(enrolHost(await wish())).rejects.toMatchObject({
      code: 'config_invalid',
      message: expect.stringContaining('bad configuration options'),
    })
  })
})

describe("sshd's configuration", () => {
  const text = (...lines: string[]): string => lines.join('\n')
  test.each<[string, string, string]>([
    [
      'an absolute path',
      text('Include /etc/ssh/sshd_config.d/*.conf'),
      '/etc/ssh/sshd_config.d/50-sallyport.conf',
    ],
    [
      'a relative one',
      text('# Include no/*.conf', 'include sshd_config.d/*.conf'),
      '/etc/ssh/sshd_config.d/50-sallyport.conf',
    ],
    ['several, the first', text('Include /a/one.conf /b/*.conf /c/*.conf'), '/b/50-sallyport.conf'],
    ['with an equals sign and quotes', text('Include="/x y/*.conf"'), '/x y/50-sallyport.conf'],
  ])('includes a directory by %s', (_, config, expected) => {
    expect(enrolPaths('/etc/ssh/sshd_config', config).dropIn).toBe(expected)
  })

  test.each([
    ['none', 'Port 22'],
    ['one file', 'Include /etc/ssh/other.conf'],
    ['one for some connections', text('Match User joe', 'Include /etc/ssh/sshd_config.d/*.conf')],
  ])('that includes %s is refused with the line that is missing', (_, config) => {
    expect(() => enrolPaths('/etc/ssh/sshd_config', config)).toThrow(
      expect.objectContaining({
        code: 'config_invalid',
        hint: 'put this line at its top: Include /etc/ssh/sshd_config.d/*.conf',
      }),
    )
  })

  test('names the keys of the host again, and ours once', () => {
    const paths = enrolPaths('/etc/ssh/sshd_config', 'Include sshd_config.d/*.conf')
    const settings = parseSshdSettings(
      text(
        ...['port 22', 'listenaddress 0.0.0.0:22', 'hostkey /etc/ssh/a', `hostkey ${paths.hostKey}`],
        ...[
          'hostkey /etc/ssh/b c',
          'hostcertificate none',
          'trustedusercakeys none',
          'pidfile /run/sshd.pid',
        ],
      ),
    )
    expect(settings).toEqual({
      ...{ports: [22], listening: ['0.0.0.0:22'], hostKeys: ['/etc/ssh/a', paths.hostKey, '/etc/ssh/b c']},
      ...{hostCertificates: [], trustedUserCaKeys: [], pidFile: '/run/sshd.pid'},
    })
    expect(dropInText(paths, settings, '/etc/ssh/a')).not.toContain('HostKey')
    expect(dropInText(paths, settings, paths.hostKey).split('\n').slice(1)).toEqual([
      ...['HostKey /etc/ssh/a', 'HostKey "/etc/ssh/b c"', 'HostKey /etc/ssh/sallyport_host'],
      ...[
        'HostCertificate /etc/ssh/sallyport_host-cert.pub',
        'TrustedUserCAKeys /etc/ssh/sallyport_user_ca.pub',
        '',
      ],
    ])
  })
})
