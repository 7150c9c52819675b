import {describe, expect, test} from 'vitest'
import {type JoinMode, judgeJoin, mayKnowOf, type Role} from '../../../src/lib/access/index.js'

const none = {logins: [], nodeLabels: {}, rules: []}
const joins = (name: string, mode: JoinMode, denied?: JoinMode): Role => {
  const policy = (modes: JoinMode[]) => [{name, roles: ['access'], kinds: ['ssh'] as const, modes}]
  return {
    ...{name, options: {}},
    allow: {...none, joinSessions: policy([mode])},
    deny: {...none, ...(denied && {joinSessions: policy([denied])})},
  }
}
const lists: Role = {
  ...{name: 'lists', options: {}, deny: none},
  allow: {...none, rules: [{resources: ['session'], verbs: ['list']}]},
}
const session = {kind: 'ssh', user: 'joe', roles: ['access'], heldBy: 'node-1'} as const
const unknown = {permitted: false, why: 'unknown'}
const not = (...modes: JoinMode[]) => ({permitted: false, why: 'mode', modes})
const yes = {permitted: true}

describe('whether somebody may join joe’s session, held by node-1', () => {
  test.each<[string, string, Role[], JoinMode, string | undefined, object]>([
    ['nobody by nothing', 'ann', [], 'observer', undefined, unknown],
    ['by a role, asked by a proxy', 'ann', [joins('a', 'observer')], 'observer', undefined, yes],
    ['by a role, asked by the holder', 'ann', [joins('a', 'observer')], 'observer', 'node-1', yes],
    ['by a role, asked by another node', 'ann', [joins('a', 'observer')], 'observer', 'node-2', unknown],
    ['asked by a node that is nobody', 'ann', [joins('a', 'observer')], 'observer', '', unknown],
    ['in another mode', 'ann', [joins('a', 'observer')], 'peer', 'node-1', not('observer')],
    ['in a mode that is denied', 'ann', [joins('a', 'peer', 'peer')], 'peer', 'node-1', unknown],
    ['who may list sessions', 'ann', [lists], 'observer', undefined, not()],
    ['joe himself', 'joe', [], 'peer', 'node-1', yes],
    ['joe himself, at another node', 'joe', [], 'peer', 'node-2', unknown],
    [
      'joe, as far as nothing denies it',
      'joe',
      [joins('a', 'observer', 'peer')],
      'peer',
      'node-1',
      not('observer', 'moderator'),
    ],
  ])('%s', (_, user, roles, mode, heldBy, verdict) => {
    expect(judgeJoin({user, roles, mode, heldBy}, session)).toEqual(verdict)
  })

  test('nobody joins a session that there is not', () => {
    for (const heldBy of [undefined, 'node-1'])
      expect(judgeJoin({user: 'joe', roles: [lists], mode: 'observer', heldBy}, undefined)).toEqual(unknown)
  })

  test('whoever may join it may know of it, and nobody learns of it by asking in another mode', () => {
    for (const roles of [[], [lists], [joins('a', 'peer')], [joins('a', 'peer', 'peer')]])
      for (const mode of ['observer', 'moderator', 'peer'] as const) {
        const verdict = judgeJoin({user: 'ann', roles, mode}, session)
        const told = verdict.permitted || verdict.why === 'mode'
        expect(told).toBe(mayKnowOf('ann', roles, session))
      }
  })
})
