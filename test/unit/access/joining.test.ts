import {describe, expect, test} from 'vitest'
import {
  decide,
  type JoinMode,
  type JoinPolicy,
  type JoinRequirement,
  judgeOversight,
  modesOf,
  type Onlooker,
  oversightOf,
  presetRoles,
  type Role,
  restrictionsOf,
} from '../../../src/lib/access/index.js'

const all: JoinMode[] = ['observer', 'moderator', 'peer']
const policy = (changes: Partial<JoinPolicy> = {}): JoinPolicy => ({
  ...{name: 'p', roles: ['*'], kinds: ['*'], modes: all},
  ...changes,
})
const requirement = (changes: Partial<JoinRequirement> = {}): JoinRequirement => ({
  ...{name: 'oversight', roles: ['lead'], kinds: ['*'], modes: ['moderator'], count: 1, onLeave: 'terminate'},
  ...changes,
})
const role = (parts: {
  name?: string
  join?: JoinPolicy[]
  deny?: JoinPolicy[]
  require?: JoinRequirement[]
}): Role => ({
  name: parts.name ?? 'r',
  allow: {
    ...{logins: [], nodeLabels: {}, rules: []},
    ...(parts.join && {joinSessions: parts.join}),
    ...(parts.require && {requireSessionJoin: parts.require}),
  },
  deny: {...{logins: [], nodeLabels: {}, rules: []}, ...(parts.deny && {joinSessions: parts.deny})},
  options: {},
})
const session = {kind: 'ssh', user: 'joe', roles: ['access', 'dev-eu']} as const
const preset = (name: string): Role[] => [presetRoles[name] as Role]

describe('who may join a session of joe, who has the roles access and dev-eu', () => {
  test.each<[string, string, Role[], JoinMode[]]>([
    ['nobody by nothing', 'ann', [], []],
    ['joe himself', 'joe', [], all],
    ['joe, spelled otherwise', 'JOE', [], all],
    [
      'joe, as far as his roles do not deny it',
      'joe',
      [role({deny: [policy({modes: ['peer']})]})],
      [all[0], all[1]] as JoinMode[],
    ],
    ['another with access', 'ann', preset('access'), []],
    ['an auditor, to look on', 'ann', preset('auditor'), ['observer']],
    ['an editor', 'ann', preset('editor'), []],
    ['by a role of his', 'ann', [role({join: [policy({roles: ['access']})]})], all],
    ['by a pattern', 'ann', [role({join: [policy({roles: ['dev-*']})]})], all],
    ['by an expression', 'ann', [role({join: [policy({roles: ['^(a|b)ccess$']})]})], all],
    ['not by a part of a role', 'ann', [role({join: [policy({roles: ['dev']})]})], []],
    ['by kind', 'ann', [role({join: [policy({kinds: ['ssh']})]})], all],
    ['not by another kind', 'ann', [role({join: [policy({kinds: ['k8s']})]})], []],
    [
      'by several roles together',
      'ann',
      [role({join: [policy({modes: ['peer']})]}), ...preset('auditor')],
      ['observer', 'peer'],
    ],
    [
      'not where any role denies',
      'ann',
      [role({join: [policy()]}), role({deny: [policy({roles: ['access'], modes: ['moderator', 'peer']})]})],
      ['observer'],
    ],
    [
      'though the sessions of others are denied',
      'ann',
      [role({join: [policy()]}), role({deny: [policy({roles: ['ops']})]})],
      all,
    ],
  ])('%s', (_, user, roles, modes) => {
    expect(modesOf(user, roles, session)).toEqual(modes)
  })
})

describe('enough people look on', () => {
  const onlooker = (user: string, changes: Partial<Onlooker> = {}): Onlooker => ({
    ...{user, roles: ['lead'], mode: 'moderator'},
    ...changes,
  })
  test.each<[string, Role[], Onlooker[], boolean]>([
    ['when nobody asks for any', [role({})], [], true],
    ['not when nobody is there', [role({require: [requirement()]})], [], false],
    ['when one is', [role({require: [requirement()]})], [onlooker('ann')], true],
    ['not in another mode', [role({require: [requirement()]})], [onlooker('ann', {mode: 'observer'})], false],
    ['not without the role', [role({require: [requirement()]})], [onlooker('ann', {roles: ['dev']})], false],
    ['not when it is joe again', [role({require: [requirement()]})], [onlooker('Joe')], false],
    [
      'not when two are wanted and one has joined twice',
      [role({require: [requirement({count: 2})]})],
      [onlooker('ann'), onlooker('Ann')],
      false,
    ],
    [
      'when two are wanted and there',
      [role({require: [requirement({count: 2})]})],
      [onlooker('ann'), onlooker('bob')],
      true,
    ],
    [
      'when one of the ways of a role is met',
      [role({require: [requirement({count: 3}), requirement({roles: ['boss']})]})],
      [onlooker('eve', {roles: ['boss']})],
      true,
    ],
    [
      'not when another role asks for more',
      [role({require: [requirement()]}), role({require: [requirement({roles: ['boss']})]})],
      [onlooker('ann')],
      false,
    ],
    ['when only other kinds are meant', [role({require: [requirement({kinds: ['k8s']})]})], [], true],
  ])('%s', (_, roles, onlookers, met) => {
    expect(judgeOversight(oversightOf(roles, 'ssh'), 'joe', onlookers).met).toBe(met)
  })

  test('or it is said who is missing, and what becomes of the session', () => {
    const roles = [
      role({require: [requirement({count: 2, onLeave: 'pause'})]}),
      role({require: [requirement({roles: ['boss'], modes: ['peer', 'moderator']})]}),
    ]
    const oversight = oversightOf(roles, 'ssh')
    expect(judgeOversight(oversight, 'joe', [])).toEqual({
      met: false,
      missing:
        '2 moderators with the role lead (oversight), and 1 peer or moderator with the role boss (oversight)',
      onLeave: 'terminate',
    })
    const boss = onlooker('eve', {roles: ['boss']})
    expect(judgeOversight(oversight, 'joe', [boss])).toMatchObject({met: false, onLeave: 'pause'})
  })

  test('is part of the decision, also for a role given since the certificate was made', () => {
    const strict = role({name: 'strict', require: [requirement()]})
    const identity = {user: 'joe', roles: ['access'], logins: ['root'], validBefore: 0}
    const cluster = {clientIdleTimeoutSeconds: 0, disconnectExpiredCert: false}
    const ask = (roles: Role[]) => decide(roles, {identity, login: 'root', host: 'db1'}, cluster, [])
    expect(ask([...preset('access'), restrictionsOf(strict)])).toMatchObject({
      options: {oversight: [[requirement()]]},
    })
    expect(ask(preset('access'))).not.toHaveProperty('options.oversight')
    expect(restrictionsOf(role({join: [policy()]})).allow).not.toHaveProperty('joinSessions')
  })
})
