import {writeFileSync} from 'node:fs'
import {join} from 'node:path'
import fc from 'fast-check'
import {describe, expect, test} from 'vitest'
import {parseExpiry, refuseExpired, refuseWhileClosed} from '../../../src/lib/node/process/account-state.js'
import {
  isLoginName,
  parseAccount,
  parseGroups,
  resolveAccount,
} from '../../../src/lib/node/process/accounts.js'
import {temporaryDirectory} from '../../support/temporary-directory.js'

describe('a login name', () => {
  test.each(['root', 'www-data', '_apt', 'ann.lee', 'ann@corp.example', 'CORP\\ann', 'host$', '2fa', 'a0'])(
    '%j may be one',
    name => expect(isLoginName(name)).toBe(true),
  )

  test.each([
    ...[
      '0',
      '00',
      '+0',
      '-0',
      '0 ',
      ' 0',
      '1000',
      '4294967296',
      '+root',
      '-root',
      'root ',
      ' root',
      'root\t',
    ],
    ...[
      '',
      '.',
      '..',
      '.root',
      'ro ot',
      'root\n',
      'root\0',
      'root:x',
      'root/..',
      '/root',
      '~root',
      '*',
      'ro*t',
    ],
    ...['röot', 'rооt', '$', '$(id)', 'a;id', "a'b", 'a,b', 'a'.repeat(256), '--help', '#0', '%root'],
  ])('%j may not', async name => {
    expect(isLoginName(name)).toBe(false)
    await expect(resolveAccount(name)).rejects.toMatchObject({code: 'not_found'})
  })

  test('is never a number, in whatever spelling', () => {
    fc.assert(
      fc.property(fc.nat(), fc.constantFrom('', '+', '-', ' ', '0', '00'), (number, prefix) => {
        expect(isLoginName(`${prefix}${number}`)).toBe(false)
      }),
    )
  })
})

describe('a line of passwd(5)', () => {
  test('is an account', () => {
    expect(parseAccount('ann:x:1000:1001:Ann Lee,,,:/home/ann:/bin/zsh')).toEqual({
      ...{name: 'ann', uid: 1000, gid: 1001, home: '/home/ann', shell: '/bin/zsh'},
    })
  })

  test('without a shell has /bin/sh, without a home /', () => {
    expect(parseAccount('ann:x:1:1:::')).toMatchObject({home: '/', shell: '/bin/sh'})
    expect(parseAccount('ann:x:1:1::home:sh -x')).toMatchObject({home: '/', shell: '/bin/sh'})
  })

  test.each([
    ...['', 'ann', 'ann:x:1:1:::/bin/sh:more', 'ann:x:1:1::/home/ann', ':x:1:1:::', 'ann:x::1:::'],
    // −1 is "leave it" to setresuid(2): the program would stay root.
    ...[
      'ann:x:4294967295:1:::',
      'ann:x:1:4294967295:::',
      'ann:x:-1:1:::',
      'ann:x:0x0:1:::',
      'ann:x:1e3:1:::',
    ],
  ])('%j is none', line => expect(parseAccount(line)).toBeUndefined())

  test('of any form is an account with ids that are some, or none', () => {
    fc.assert(
      fc.property(fc.array(fc.string(), {maxLength: 9}), fields => {
        const account = parseAccount(fields.join(':'))
        if (!account) return
        expect(Number.isInteger(account.uid) && account.uid >= 0 && account.uid < 0xffff_ffff).toBe(true)
        expect(account.home.startsWith('/') && account.shell.startsWith('/')).toBe(true)
      }),
    )
  })
})

test('groups are what id -G prints, or nothing', () => {
  expect(parseGroups('1000 27 4\n')).toEqual([1000, 27, 4])
  for (const odd of ['', '\n', '1000 adm', '-1', '4294967295', '1,2'])
    expect(parseGroups(odd)).toBeUndefined()
})

describe('an account that the host has shut off', () => {
  const day = 24 * 60 * 60 * 1000

  test.each([
    ['ann:!:19000:0:99999:7::19000:', 19_000],
    ['ann:*:19000:0:99999:7::0:', 0],
    ['ann:!:19000:0:99999:7:::', undefined],
    ['ann:!:19000:0:99999:7::-1:', undefined],
    ['ann:!:19000:0:99999:7::soon:', undefined],
    ['', undefined],
  ])('%j is closed from day %j', (line, expiry) => expect(parseExpiry(line)).toBe(expiry))

  test('is refused from the first moment of its day', () => {
    const line = 'ann:!:19000:0:99999:7::19000:'
    expect(() => refuseExpired('ann', line, 19_000 * day - 1)).not.toThrow()
    expect(() => refuseExpired('ann', line, 19_000 * day)).toThrow(/the account ann of this host has expired/)
  })
})

describe('a host that is closed for logins', () => {
  const directory = temporaryDirectory()

  test('refuses everybody but root, with the reason that is written there', async () => {
    const path = join(directory, 'nologin')
    await refuseWhileClosed(1000, path)
    writeFileSync(path, 'Disks are\x1b[31m changed\nback at noon\n')
    await expect(refuseWhileClosed(1000, path)).rejects.toThrow(
      /^this host is closed for logins: Disks are\[31m changed$/,
    )
    await refuseWhileClosed(0, path)
    writeFileSync(path, '')
    await expect(refuseWhileClosed(1000, path)).rejects.toThrow(/^this host is closed for logins$/)
  })

  test('is closed too when the file cannot be read', async () => {
    await expect(refuseWhileClosed(1000, directory)).rejects.toMatchObject({code: 'unavailable'})
  })
})
