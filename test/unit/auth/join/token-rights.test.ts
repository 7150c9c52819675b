import {expect, test} from 'vitest'
import type {TokenRole} from '../../../../src/lib/auth/contract.js'
import {type Auth, failure, openAuth, signUp, userCaller} from '../fixture.js'

const staticToken = 'static-secret-of-the-file'

async function opened(): Promise<{auth: Auth; editor: Auth['admin']; joe: Auth['admin']}> {
  const auth = await openAuth({staticTokens: [{value: staticToken, roles: ['proxy']}]})
  await signUp(auth, 'eve', {roles: ['editor']})
  await signUp(auth)
  const as = (name: string, role: string) => auth.service.as(userCaller(name, [role]))
  return {auth, editor: as('eve', 'editor'), joe: as('joe', 'access')}
}

const codeOf = async (attempt: Promise<unknown>): Promise<string> => (await failure(attempt)).code

test.each<[TokenRole[], 'made' | 'access_denied']>([
  [['node'], 'made'],
  [['openssh'], 'made'],
  [['node', 'openssh'], 'made'],
  [['proxy'], 'access_denied'],
  [['trusted_cluster'], 'access_denied'],
  [['node', 'proxy'], 'access_denied'],
  [['openssh', 'trusted_cluster'], 'access_denied'],
])('with the right to it a token for %j is %s', async (roles, outcome) => {
  const {auth, editor, joe} = await opened()
  expect(await codeOf(joe.createToken({roles}))).toBe('access_denied')
  if (outcome === 'made') {
    const {id} = await editor.createToken({roles})
    expect(await editor.listTokens()).toContainEqual(
      expect.objectContaining({id, roles: [...roles].sort(), createdBy: 'eve'}),
    )
    expect((await auth.events('join_token.create'))[0]).toMatchObject({by: 'eve', token: id})
  } else {
    expect(await codeOf(editor.createToken({roles}))).toBe(outcome)
    expect(await auth.events('join_token.create')).toEqual([])
  }
})

test('who may not make tokens may neither see nor remove them', async () => {
  const {auth, joe} = await opened()
  const {id} = await auth.admin.createToken({roles: ['node']})
  expect(await codeOf(joe.listTokens())).toBe('access_denied')
  expect(await codeOf(joe.removeToken(id))).toBe('access_denied')
  expect(await auth.admin.listTokens()).toContainEqual(expect.objectContaining({id}))
})

test('a user learns of no token whether it was guessed', async () => {
  const {auth, editor} = await opened()
  const value = 'one-of-the-administrator'
  await auth.admin.createToken({roles: ['proxy'], value})
  for (const guess of [value, staticToken, 'no-token-at-all-this-one']) {
    expect(await codeOf(editor.createToken({roles: ['node'], value: guess}))).toBe('access_denied')
    expect(await codeOf(editor.removeToken(guess))).toBe('not_found')
  }
})

test('a user takes a token back by its ID', async () => {
  const {auth, editor} = await opened()
  const {id} = await auth.admin.createToken({roles: ['node']})
  await editor.removeToken(id)
  expect((await auth.events('join_token.delete'))[0]).toMatchObject({by: 'eve', token: id})
  expect(await codeOf(editor.removeToken(id))).toBe('not_found')
})
