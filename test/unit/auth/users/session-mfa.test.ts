import {describe, expect, test} from 'vitest'
import {type Auth, codeOf, failure, logIn, minute, openAuth, password, signUp} from '../fixture.js'

const proxy = (auth: Auth) => auth.service.as({kind: 'system', role: 'proxy'})
const where = {address: '192.0.2.9:5000', login: 'root', server_hostname: 'db1'}

/** joe with an authenticator, some time after it was set up. */
async function enrolled() {
  const auth = await openAuth({secondFactor: 'otp'})
  const {secret = ''} = await signUp(auth)
  auth.clock.now += 10 * minute
  const code = () => codeOf(secret, auth.clock.now)
  const check = (given: string, user = 'joe') => proxy(auth).checkSessionMfa({user, code: given, ...where})
  return {auth, code, check}
}
const wrong = (code: string): string => String((Number(code) + 1) % 1_000_000).padStart(6, '0')

describe('the second factor of a session', () => {
  test('is the code of the authenticator app, and goes on record', async () => {
    const {auth, code, check} = await enrolled()
    await check(code(), 'JOE')
    expect(await auth.events('mfa_auth_challenge.validate')).toMatchObject([
      {
        code: 'T1016I',
        success: true,
        user: 'JOE',
        login: 'root',
        server_hostname: 'db1',
        'addr.remote': '192.0.2.9:5000',
      },
    ])
  })

  test('is good once, however often it is shown at the same time, and never after a login with it', async () => {
    const {auth, code, check} = await enrolled()
    const outcomes = await Promise.allSettled(Array.from({length: 10}, () => check(code())))
    expect(outcomes.filter(({status}) => status === 'fulfilled')).toHaveLength(1)
    auth.clock.now += 30 * minute
    await logIn(auth, {otp: code()})
    expect((await failure(check(code()))).code).toBe('bad_credentials')
    auth.clock.now += minute
    await check(code())
    expect((await failure(logIn(auth, {otp: code()}))).code).toBe('bad_credentials')
  })

  test('reads with a blank in it as apps show it', async () => {
    const {code, check} = await enrolled()
    await check(`${code().slice(0, 3)} ${code().slice(3)}`)
  })

  test('is refused in the same words for a wrong code, a used one, nobody, and somebody without an app', async () => {
    const {auth, code, check} = await enrolled()
    await signUp(auth, 'ann')
    await auth.admin.resetUser({name: 'ann'})
    await check(code())
    const refusals = [
      await failure(check(code())),
      await failure(check(wrong(code()))),
      await failure(check(code(), 'nobody')),
      await failure(check(code(), 'ann')),
      await failure(check('')),
      await failure(check(code(), 'joe:session')),
    ]
    expect(new Set(refusals.map(({code: kind, message}) => `${kind} ${message}`)).size).toBe(1)
    const events = await auth.events('mfa_auth_challenge.validate')
    expect(events.filter(({success}) => !success)).toHaveLength(6)
  })

  test('shuts out after five failures, also the right code, until the time is over', async () => {
    const {auth, code, check} = await enrolled()
    for (let count = 0; count < 5; count++)
      expect((await failure(check(wrong(code())))).code).toBe('bad_credentials')
    expect((await failure(check(code()))).code).toBe('account_locked')
    expect((await auth.admin.listUsers())[0]).toMatchObject({state: 'locked'})
    const later = await auth.restart()
    const again = () => proxy(later).checkSessionMfa({user: 'joe', code: code(), ...where})
    expect((await failure(again())).code).toBe('account_locked')
    later.clock.now += 21 * minute
    await again()
  })

  test('is there again at once when an administrator unlocks the user', async () => {
    const {auth, code, check} = await enrolled()
    for (let count = 0; count < 5; count++) await failure(check(wrong(code())))
    await auth.admin.unlockUser('joe')
    await check(code())
  })

  test('does not depend on failures of logins, which anybody can cause, nor they on its', async () => {
    const {auth, code, check} = await enrolled()
    for (let count = 0; count < 5; count++)
      await failure(logIn(auth, {password: `${password}!`, otp: code()}))
    expect((await failure(logIn(auth, {otp: code()}))).code).toBe('account_locked')
    await check(code())
    auth.clock.now += 30 * minute
    for (let count = 0; count < 5; count++) await failure(check(wrong(code())))
    await logIn(auth, {otp: code()})
  })

  test('is asked for by roles of the cluster alone', async () => {
    const {auth, code} = await enrolled()
    for (const caller of [auth.admin, auth.anonymous])
      expect((await failure(caller.checkSessionMfa({user: 'joe', code: code(), ...where}))).code).toBe(
        'access_denied',
      )
  })

  test('names the node that asked', async () => {
    const {auth, code} = await enrolled()
    const hostId = '6f4c1a56-1f0e-4a8e-9a35-0d9c1c0d7c11'
    const node = auth.service.as({kind: 'system', role: 'node', hostId})
    await node.checkSessionMfa({user: 'joe', code: code(), ...where})
    expect(await auth.events('mfa_auth_challenge.validate')).toMatchObject([{server_id: hostId}])
  })
})
