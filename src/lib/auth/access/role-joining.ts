import {z} from 'zod'
import {
  type JoinPolicy,
  type JoinRequirement,
  joinModes,
  patternProblem,
  sessionKinds,
} from '../../access/index.js'
import {textWithout} from '../../config/index.js'
import type {JoinPolicyResource, JoinRequirementResource} from '../resources/types.js'

// The parts of a role that are about joining sessions, as they are written. docs/guides/watch-and-join.md has them.

const maxPolicies = 64
const maxNames = 64
/** More people than look on at a session. */
const maxCount = 16

const oneOf = <const W extends string>(words: readonly W[]) =>
  z.enum(words, {error: `expected one of ${words.join(', ')}`})

const some = <Item extends z.ZodType>(item: Item, what: string) =>
  z.array(item).min(1, `names at least one ${what}`).max(maxNames, `at most ${maxNames} entries`)

const policyName = z.string().regex(/^[^\p{Cc}]{1,64}$/u, 'a name is one line of at most 64 characters')

const rolePattern = textWithout(patternProblem)

const kinds = some(oneOf([...sessionKinds, '*']), 'kind').optional()
const modes = some(oneOf(joinModes), 'mode')

const policies = <Policy extends z.ZodType>(policy: Policy) =>
  z.array(policy).max(maxPolicies, `at most ${maxPolicies} entries`).nullish()

/** `join_sessions` of a role. */
export const joinSessions = policies(
  z
    .strictObject({name: policyName, roles: some(rolePattern, 'role'), kinds, modes})
    .transform((given): JoinPolicy => ({...given, kinds: given.kinds ?? ['*']})),
)

const filterHint =
  'expected a list of roles, or contains(user.roles, "role"), several of them with || between'

/** Teleport writes the roles as an expression; of its language this is the part that names roles. */
const filter = z.unknown().transform((given, context): string[] => {
  const names = Array.isArray(given) ? given : typeof given === 'string' ? rolesIn(given) : []
  if (names.length > 0 && names.length <= maxNames && names.every(isRoleName)) return names
  context.addIssue({code: 'custom', message: filterHint})
  return z.NEVER
})

function rolesIn(expression: string): (string | undefined)[] {
  return expression
    .split('||')
    .map(part => /^\s*contains\(\s*user\.(?:spec\.)?roles\s*,\s*"([^"]*)"\s*\)\s*$/.exec(part)?.[1])
}

const isRoleName = (name: unknown): name is string =>
  typeof name === 'string' && /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(name)

/** `require_session_join` of a role. */
export const requireSessionJoin = policies(
  z
    .strictObject({
      name: policyName,
      filter,
      kinds,
      modes,
      count: z
        .number()
        .int('expected a whole number')
        .min(1, 'at least 1')
        .max(maxCount, `at most ${maxCount}`),
      on_leave: z.union([oneOf(['terminate', 'pause']), z.literal('')]).optional(),
    })
    .transform(
      ({filter: roles, on_leave: onLeave, ...given}): JoinRequirement => ({
        ...{...given, roles, kinds: given.kinds ?? ['*']},
        onLeave: onLeave || 'terminate',
      }),
    ),
)

export const writeJoinPolicy = ({name, roles, kinds, modes}: JoinPolicy): JoinPolicyResource => ({
  ...{name, roles, kinds, modes},
})

export const writeJoinRequirement = ({onLeave, ...given}: JoinRequirement): JoinRequirementResource => ({
  ...{name: given.name, filter: given.roles, kinds: given.kinds, modes: given.modes, count: given.count},
  on_leave: onLeave,
})
