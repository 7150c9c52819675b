import {mkdirSync, statSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import fc from 'fast-check'
import {beforeEach, describe, expect, it} from 'vitest'
import {clientHome} from '../../../../src/lib/client/home.js'
import {
  findProfile,
  listProfiles,
  type Profile,
  profileName,
  profilePaths,
  removeProfile,
  saveProfile,
} from '../../../../src/lib/client/identity/profile.js'
import {temporaryDirectory} from '../../../support/temporary-directory.js'

const aProfile = (user: string, host = 'proxy', webPort = 3080): Profile => ({
  ...{version: 1, cluster: 'test', user, keyStore: 'file', recording: 'proxy'},
  proxy: {host, webPort, sshHost: host, sshPort: 3023},
  ...{hostAuthorities: ['ssh-ed25519 AAAA'], certificate: 'ssh-ed25519-cert-v01@openssh.com AAAA'},
})

let home: string
beforeEach(() => {
  home = join(temporaryDirectory(), 'home')
})

describe('profiles', () => {
  it('are kept for each proxy and user, and the last one is current', async () => {
    for (const profile of [aProfile('joe'), aProfile('ann'), aProfile('joe', 'other')])
      await saveProfile(home, profile)
    expect(await listProfiles(home)).toHaveLength(3)
    expect(await findProfile(home)).toEqual(aProfile('joe', 'other'))
    expect(await findProfile(home, {user: 'ann'})).toEqual(aProfile('ann'))
    expect(await findProfile(home, {proxy: {host: 'proxy', webPort: 3080}, user: 'joe'})).toEqual(
      aProfile('joe'),
    )
    expect(await findProfile(home, {proxy: {host: 'proxy', webPort: 443}})).toBeUndefined()
  })

  it('are asked to be told apart where several fit and none is current', async () => {
    for (const profile of [aProfile('joe'), aProfile('ann'), aProfile('joe', 'other')])
      await saveProfile(home, profile)
    await expect(findProfile(home, {proxy: {host: 'proxy', webPort: 3080}})).rejects.toMatchObject({
      code: 'usage',
      hint: 'say which: --proxy=proxy:3080 --user=ann | --proxy=proxy:3080 --user=joe',
    })
  })

  it('are private to their owner, also where the directory was wider', async () => {
    mkdirSync(home, {mode: 0o755})
    await saveProfile(home, aProfile('joe'))
    const {directory, profile} = profilePaths(home, aProfile('joe'))
    expect([home, join(home, 'profiles'), directory].map(path => statSync(path).mode & 0o777)).toEqual(
      Array(3).fill(0o700),
    )
    expect(statSync(profile).mode & 0o777).toBe(0o600)
  })

  it('leave nothing when removed, and only then is nobody logged in', async () => {
    await saveProfile(home, aProfile('ann'))
    await saveProfile(home, aProfile('joe'))
    await removeProfile(home, aProfile('joe'))
    expect(await findProfile(home)).toBeUndefined()
    expect(await findProfile(home, {user: 'ann'})).toEqual(aProfile('ann'))
    await removeProfile(home, aProfile('ann'))
    expect(await listProfiles(home)).toEqual([])
  })

  it.each([
    ['not JSON', '{'],
    ['an unknown field', JSON.stringify({...aProfile('joe'), extra: 1})],
    ['a port out of range', JSON.stringify({...aProfile('joe'), proxy: {host: 'p', webPort: 0}})],
    ['a line break in a name', JSON.stringify({...aProfile('joe'), cluster: 'a\nHost *'})],
    ['another user', JSON.stringify(aProfile('ann'))],
  ])('that are damaged are named: %s', async (_, text) => {
    await saveProfile(home, aProfile('joe'))
    writeFileSync(profilePaths(home, aProfile('joe')).profile, text)
    await expect(findProfile(home)).rejects.toMatchObject({
      code: 'invalid_input',
      message: expect.stringContaining('is damaged'),
      hint: 'log in again: sallyport login',
    })
  })

  it.each(['../../etc', '/etc/passwd', '..', '.'])(
    'are not looked for outside of their directory: %s',
    async pointer => {
      await saveProfile(home, aProfile('joe'))
      writeFileSync(join(home, 'current'), pointer)
      expect(await findProfile(home)).toBeUndefined()
    },
  )

  it('have names of their own that are safe in paths', () => {
    const text = fc.string({minLength: 1, unit: 'grapheme'})
    fc.assert(
      fc.property(text, text, text, text, (host, user, host2, user2) => {
        const name = profileName({proxy: {host, webPort: 1}, user})
        expect(name).toMatch(/^[A-Za-z0-9.+-]+_1_[A-Za-z0-9.+-]+$/)
        if (host !== host2 || user !== user2)
          expect(profileName({proxy: {host: host2, webPort: 1}, user: user2})).not.toBe(name)
      }),
    )
  })
})

describe('the home directory', () => {
  it('is named by SALLYPORT_HOME, else by TELEPORT_HOME, else in the home of the user', () => {
    expect(clientHome({SALLYPORT_HOME: '/a', TELEPORT_HOME: '/b'})).toBe('/a')
    expect(clientHome({TELEPORT_HOME: '/b'})).toBe('/b')
    expect(clientHome({})).toMatch(/\/\.sallyport$/)
  })
})
