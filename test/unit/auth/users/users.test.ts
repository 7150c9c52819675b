import {describe, expect, test} from 'vitest'
import {codeOf, failure, hour, logIn, openAuth, password, signUp, tokenOf} from '../fixture.js'

describe('a user', () => {
  test('is made with logins and the role access, and an invite', async () => {
    const auth = await openAuth()
    const invite = await auth.admin.createUser({name: 'Joe', logins: ['joe', 'root', 'joe']})
    expect(invite).toMatchObject({user: 'Joe', expires: auth.clock.now + hour})
    expect(invite.url).toMatch(/^https:\/\/proxy\.acme\.example:3080\/web\/invite\/[A-Za-z0-9_-]{43}$/)
    expect(await auth.admin.listUsers()).toEqual([
      {name: 'Joe', logins: ['joe', 'root'], roles: ['access'], state: 'invited', created: auth.clock.now},
    ])
    expect((await auth.events('user.create'))[0]).toMatchObject({code: 'T1002I', user: 'Joe'})
  })

  test('is not made twice, in another case neither', async () => {
    const auth = await openAuth()
    await auth.admin.createUser({name: 'joe', logins: ['joe']})
    expect((await failure(auth.admin.createUser({name: 'JOE', logins: ['x']}))).code).toBe('already_exists')
  })

  test.each(['', '-joe', '1joe', 'jo e', 'joe\n', 'joe\0', 'jöe', 'joe/../x', '*', 'a'.repeat(65), '.joe'])(
    'cannot be called %j',
    async name => {
      const auth = await openAuth()
      expect((await failure(auth.admin.createUser({name, logins: ['joe']}))).code).toBe('invalid_input')
    },
  )

  test.each(['', '*', 'ro,ot', 'root ', 'ro\0ot', '-oProxyCommand=x', 'r\u043eot', 'a\nb'])(
    'cannot have the login %j',
    async login => {
      const auth = await openAuth()
      expect((await failure(auth.admin.createUser({name: 'joe', logins: [login]}))).code).toBe(
        'invalid_input',
      )
      expect(await auth.admin.listUsers()).toEqual([])
    },
  )

  test('with a wish that cannot be granted is not half made', async () => {
    const auth = await openAuth()
    const joe = {name: 'joe', logins: ['joe']}
    for (const wish of [{ttlSeconds: 49 * 3600}, {ttlSeconds: 0}, {roles: ['nosuch']}, {roles: []}]) {
      expect((await failure(auth.admin.createUser({...joe, ...wish}))).code).toBe('invalid_input')
      expect(await auth.admin.listUsers(), JSON.stringify(wish)).toEqual([])
    }
  })

  test('is changed, and the change is on record', async () => {
    const auth = await openAuth()
    await signUp(auth)
    const change = {name: 'joe', logins: ['joe'], roles: ['auditor']}
    expect(await auth.admin.updateUser(change)).toMatchObject({...change, state: 'active'})
    expect((await auth.events('user.update'))[0]).toMatchObject({
      user: 'joe',
      logins: ['joe'],
      roles: ['auditor'],
    })
    expect((await failure(auth.admin.updateUser({name: 'nobody'}))).code).toBe('not_found')
  })

  test('who is removed can neither log in nor use an invite', async () => {
    const auth = await openAuth()
    const {url} = await auth.admin.createUser({name: 'joe', logins: ['joe']})
    await auth.admin.removeUser('JOE')
    expect((await failure(auth.anonymous.getInvite(tokenOf(url)))).code).toBe('token_invalid')
    expect((await failure(auth.admin.removeUser('joe'))).code).toBe('not_found')
    expect((await auth.events('user.delete'))[0]).toMatchObject({code: 'T1004I'})
  })

  test('who is reset loses password and lock, and gets a new link', async () => {
    const auth = await openAuth()
    await signUp(auth)
    for (let count = 0; count < 5; count++) await failure(logIn(auth, {password: 'wrong horse battery'}))
    const {url} = await auth.admin.resetUser({name: 'joe'})
    expect((await failure(logIn(auth))).code).toBe('bad_credentials')
    const token = tokenOf(url)
    expect(await auth.anonymous.getInvite(token)).toMatchObject({kind: 'reset', user: 'joe'})
    await auth.anonymous.acceptInvite({token, password: 'another horse battery'})
    await logIn(auth, {password: 'another horse battery'})
    expect((await auth.events('reset_password_token.create'))[0]).toMatchObject({code: 'T6000I', user: 'joe'})
  })

  test('keeps the password when a reset asks for the impossible', async () => {
    const auth = await openAuth()
    await signUp(auth)
    expect((await failure(auth.admin.resetUser({name: 'joe', ttlSeconds: 10 ** 6}))).code).toBe(
      'invalid_input',
    )
    await logIn(auth)
  })
})

describe('an invite', () => {
  test('shows the same secret each time it is looked at, and is not used up by that', async () => {
    const auth = await openAuth({secondFactor: 'otp'})
    const token = tokenOf((await auth.admin.createUser({name: 'joe', logins: ['joe']})).url)
    const first = await auth.anonymous.getInvite(token)
    expect(await auth.anonymous.getInvite(token)).toEqual(first)
    expect(first.otp?.uri).toMatch(/^otpauth:\/\/totp\/acme\.example:joe\?/)
    expect(first.otp?.uri).toContain(`secret=${first.otp?.secret}`)
  })

  test('works once, of a hundred at the same time as well', async () => {
    const auth = await openAuth()
    const token = tokenOf((await auth.admin.createUser({name: 'joe', logins: ['joe']})).url)
    const accept = (index: number) => auth.anonymous.acceptInvite({token, password: `${password} ${index}`})
    const results = await Promise.allSettled(Array.from({length: 100}, (_, index) => accept(index)))
    const won = results.flatMap(({status}, index) => (status === 'fulfilled' ? [index] : []))
    expect(won).toHaveLength(1)
    expect((await failure(accept(0))).code).toBe('token_invalid')
    await logIn(auth, {password: `${password} ${won[0]}`})
  })

  test.each(['', 'x', 'A'.repeat(43), 'A'.repeat(44), '../users/joe'])(
    'that was never made is not valid: %j, and the attempt is on record',
    async token => {
      const auth = await openAuth()
      expect((await failure(auth.anonymous.getInvite(token))).code).toBe('token_invalid')
      expect((await failure(auth.anonymous.acceptInvite({token, password}))).code).toBe('token_invalid')
      const events = await auth.events()
      expect(events).toHaveLength(2)
      for (const event of events) expect(event).toMatchObject({success: false, 'addr.remote': '192.0.2.7'})
    },
  )

  test('ends at its time', async () => {
    const auth = await openAuth()
    const joe = {name: 'joe', logins: ['joe'], ttlSeconds: 60}
    const token = tokenOf((await auth.admin.createUser(joe)).url)
    auth.clock.now += 59_999
    await auth.anonymous.getInvite(token)
    auth.clock.now += 1
    expect((await failure(auth.anonymous.getInvite(token))).code).toBe('token_invalid')
    expect((await failure(auth.anonymous.acceptInvite({token, password}))).code).toBe('token_invalid')
  })

  test('gives way to a newer one', async () => {
    const auth = await openAuth()
    const token = tokenOf((await auth.admin.createUser({name: 'joe', logins: ['joe']})).url)
    await auth.admin.resetUser({name: 'joe'})
    expect((await failure(auth.anonymous.getInvite(token))).code).toBe('token_invalid')
  })

  test('is stored as a hash only', async () => {
    const auth = await openAuth()
    const token = tokenOf((await auth.admin.createUser({name: 'joe', logins: ['joe']})).url)
    const state = (await auth.backend.range(''))
      .map(({key, value}) => `${key} ${value.toString()}`)
      .join('\n')
    expect(state).not.toContain(token)
  })

  test.each(['x'.repeat(11), 'x'.repeat(129), '', '👍'.repeat(11)])(
    'refuses a password out of bounds and stays good: %#',
    async bad => {
      const auth = await openAuth()
      const token = tokenOf((await auth.admin.createUser({name: 'joe', logins: ['joe']})).url)
      expect((await failure(auth.anonymous.acceptInvite({token, password: bad}))).code).toBe('invalid_input')
      await auth.anonymous.acceptInvite({token, password})
      await expect(logIn(auth, {password})).resolves.toMatchObject({user: 'joe'})
    },
  )

  test('takes a password of 128 characters, of any script, typed on any keyboard', async () => {
    const auth = await openAuth()
    const token = tokenOf((await auth.admin.createUser({name: 'joe', logins: ['joe']})).url)
    await auth.anonymous.acceptInvite({token, password: `${'👍'.repeat(127)}\u00e9`})
    const typed = logIn(auth, {password: `${'👍'.repeat(127)}e\u0301`})
    await expect(typed).resolves.toMatchObject({user: 'joe'})
  })

  test('wants a right code where the cluster asks for one, and stays good after a wrong one', async () => {
    const auth = await openAuth({secondFactor: 'otp'})
    const token = tokenOf((await auth.admin.createUser({name: 'joe', logins: ['joe']})).url)
    const secret = (await auth.anonymous.getInvite(token)).otp?.secret ?? ''
    expect((await failure(auth.anonymous.acceptInvite({token, password}))).code).toBe('otp_required')
    const otp = codeOf(secret, auth.clock.now + hour)
    expect((await failure(auth.anonymous.acceptInvite({token, password, otp}))).code).toBe('bad_credentials')
    await auth.anonymous.acceptInvite({token, password, otp: codeOf(secret, auth.clock.now)})
    expect((await auth.events('mfa.add'))[0]).toMatchObject({user: 'joe'})
  })
})
