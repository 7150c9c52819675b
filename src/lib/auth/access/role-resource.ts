import {z} from 'zod'
import {
  maxSessionTtlSeconds,
  patternProblem,
  type Role,
  type RoleConditions,
  type RoleOptions,
  templateProblem,
} from '../../access/index.js'
import {choice, duration, formatDuration, textWithout, yesNo} from '../../config/index.js'
import {labelNameProblem} from '../../names/index.js'
import {isPrincipal} from '../../sshcert/index.js'
import type {RoleConditionsResource, RoleOptionsResource, RoleResource} from '../resources/types.js'
import {joinSessions, requireSessionJoin, writeJoinPolicy, writeJoinRequirement} from './role-joining.js'

/** Far more than anybody reads. */
const maxEntries = 256
const maxCount = 1_000_000

export const maxDescription = 512

const loginProblem = (login: string): string | undefined => {
  const wrong = templateProblem(login)
  if (wrong !== undefined || login.includes('{{')) return wrong
  if (isPrincipal(login) && !login.startsWith('-')) return undefined
  return 'a login is one exact name, without blanks, commas or *, or {{internal.logins}}'
}

export const roleNameProblem = (name: string): string | undefined =>
  /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(name)
    ? undefined
    : 'a name has letters, digits and . _ -, begins with a letter or digit, and is at most 64 long'

const conditionNameProblem = (name: string): string | undefined =>
  name === '*' ? undefined : labelNameProblem(name)

const labelValues = (name: string, given: unknown): string[] | string => {
  const values: unknown[] = Array.isArray(given) ? given : [given]
  if (!values.every(value => typeof value === 'string')) return 'expected text, or a list of texts'
  if (values.length === 0 || values.length > maxEntries) return `needs 1 to ${maxEntries} values`
  if (name === '*' && values.some(value => value !== '*')) return 'the label * goes with the value * alone'
  return values.map(patternProblem).find(wrong => wrong !== undefined) ?? values
}

// A record of zod passes over the key `__proto__`; a condition that goes missing would widen a denial.
const nodeLabels = z.unknown().transform((given, context): Record<string, string[]> => {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    context.addIssue({code: 'custom', message: 'expected a section of labels, such as env: production'})
    return z.NEVER
  }
  const labels: Record<string, string[]> = {}
  for (const [name, value] of Object.entries(given)) {
    const values = conditionNameProblem(name) ?? labelValues(name, value)
    if (typeof values === 'string') context.addIssue({code: 'custom', message: values, path: [name]})
    else labels[name] = values
  }
  return labels
})

const ruleResources = [
  'user',
  'role',
  'lock',
  'session',
  'event',
  'cert_authority',
  'node',
  'token',
  'trusted_cluster',
  '*',
] as const
const ruleVerbs = ['list', 'read', 'create', 'update', 'delete', '*'] as const

const notYet = (what: string) =>
  z
    .unknown()
    .superRefine((value, context) => {
      if (value === undefined || value === null) return
      context.addIssue({code: 'custom', message: `${what} are not available yet; leave this out`})
    })
    .optional()

const word = <const W extends string>(words: readonly W[]) =>
  z.enum(words, {error: `expected one of ${words.join(', ')}`})

const listOf = <Item extends z.ZodType>(item: Item) =>
  z.array(item).max(maxEntries, `at most ${maxEntries} entries`)

const conditions = z.strictObject({
  logins: listOf(textWithout(loginProblem)).nullish(),
  node_labels: nodeLabels.optional(),
  rules: listOf(
    z.strictObject({
      resources: listOf(word(ruleResources)).min(1, 'names at least one resource'),
      verbs: listOf(word(ruleVerbs)).min(1, 'names at least one verb'),
    }),
  ).nullish(),
  join_sessions: joinSessions,
  request: notYet('access requests'),
})

const seconds = (fits: (seconds: number) => boolean, message: string) =>
  duration.transform((milliseconds, context) => {
    const value = milliseconds / 1000
    if (Number.isInteger(value) && fits(value)) return value
    context.addIssue({code: 'custom', message})
    return z.NEVER
  })

const count = z
  .number()
  .int('expected a whole number')
  .min(0, 'must not be negative')
  .max(maxCount, `at most ${maxCount}`)

const strictness = choice(['strict', 'best_effort'])

const options = z.strictObject({
  max_session_ttl: seconds(
    value => value >= 60 && value <= maxSessionTtlSeconds,
    'a certificate lives from 1m to 30h',
  ).optional(),
  forward_agent: yesNo.optional(),
  port_forwarding: yesNo.optional(),
  client_idle_timeout: seconds(() => true, 'expected whole seconds, or never').optional(),
  max_connections: count.optional(),
  max_sessions: count.optional(),
  disconnect_expired_cert: yesNo.optional(),
  permit_x11_forwarding: yesNo.optional(),
  pin_source_ip: yesNo.optional(),
  require_session_mfa: yesNo.optional(),
  record_session: z.strictObject({ssh: strictness}).optional(),
  lock: strictness.optional(),
})

/** `kind: role`, as a file or a request has it. */
export const roleSchema = z
  .strictObject({
    kind: z.literal('role'),
    version: z.literal('v1', 'expected v1'),
    metadata: z.strictObject({
      name: textWithout(roleNameProblem),
      description: z.string().max(maxDescription, `at most ${maxDescription} characters`).optional(),
    }),
    spec: z.strictObject({
      allow: conditions.extend({require_session_join: requireSessionJoin}).nullish(),
      deny: conditions.nullish(),
      options: options.nullish(),
    }),
  })
  .transform(
    ({metadata, spec}): RoleDefinition => ({
      kind: 'role',
      role: {
        name: metadata.name,
        allow: {
          ...readConditions(spec.allow),
          ...(spec.allow?.require_session_join?.length && {
            requireSessionJoin: spec.allow.require_session_join,
          }),
        },
        deny: readConditions(spec.deny),
        options: readOptions(spec.options ?? {}),
      },
      ...(metadata.description === undefined ? {} : {description: metadata.description}),
    }),
  )

export interface RoleDefinition {
  kind: 'role'
  role: Role
  description?: string
}

const readConditions = (given: z.output<typeof conditions> | null | undefined): RoleConditions => ({
  logins: given?.logins ?? [],
  nodeLabels: given?.node_labels ?? {},
  rules: given?.rules ?? [],
  ...(given?.join_sessions?.length && {joinSessions: given.join_sessions}),
})

const readOptions = (given: z.output<typeof options>): RoleOptions =>
  defined({
    maxSessionTtlSeconds: given.max_session_ttl,
    forwardAgent: given.forward_agent,
    portForwarding: given.port_forwarding,
    clientIdleTimeoutSeconds: given.client_idle_timeout,
    maxConnections: given.max_connections,
    maxSessions: given.max_sessions,
    disconnectExpiredCert: given.disconnect_expired_cert,
    permitX11Forwarding: given.permit_x11_forwarding,
    requireSessionMfa: given.require_session_mfa,
    pinSourceIp: given.pin_source_ip,
    recordSession: given.record_session?.ssh,
    lock: given.lock,
  })

/** The one way in which a role is written: what `get` shows, and what is kept. The reverse of `roleSchema`. */
export function roleResource({role, description}: Omit<RoleDefinition, 'kind'>): RoleResource {
  const {name, allow, deny, options: chosen} = role
  const sections = {
    allow: writeConditions(allow),
    deny: writeConditions(deny),
    options: writeOptions(chosen),
  }
  return {
    kind: 'role',
    version: 'v1',
    metadata: {name, ...(description === undefined ? {} : {description})},
    spec: Object.fromEntries(
      Object.entries(sections).filter(([, section]) => Object.keys(section).length > 0),
    ),
  }
}

const writeConditions = ({
  logins,
  nodeLabels: labels,
  rules,
  joinSessions: joins = [],
  requireSessionJoin: required = [],
}: RoleConditions): RoleConditionsResource => ({
  ...(logins.length > 0 && {logins}),
  ...(Object.keys(labels).length > 0 && {
    node_labels: Object.fromEntries(
      Object.entries(labels).map(([label, values]) => [
        label,
        values.length === 1 ? (values[0] as string) : values,
      ]),
    ),
  }),
  ...(rules.length > 0 && {rules}),
  ...(joins.length > 0 && {join_sessions: joins.map(writeJoinPolicy)}),
  ...(required.length > 0 && {require_session_join: required.map(writeJoinRequirement)}),
})

const writeOptions = (given: RoleOptions): RoleOptionsResource =>
  defined({
    max_session_ttl: writeSeconds(given.maxSessionTtlSeconds),
    forward_agent: given.forwardAgent,
    port_forwarding: given.portForwarding,
    client_idle_timeout: writeSeconds(given.clientIdleTimeoutSeconds),
    max_connections: given.maxConnections,
    max_sessions: given.maxSessions,
    disconnect_expired_cert: given.disconnectExpiredCert,
    permit_x11_forwarding: given.permitX11Forwarding,
    require_session_mfa: given.requireSessionMfa,
    pin_source_ip: given.pinSourceIp,
    record_session: given.recordSession && {ssh: given.recordSession},
    lock: given.lock,
  })

const writeSeconds = (value: number | undefined): string | undefined =>
  value === undefined ? undefined : formatDuration(value * 1000)

type Defined<T> = {[K in keyof T]?: Exclude<T[K], undefined>}

/** Without the keys that have no value. */
const defined = <T extends object>(value: T): Defined<T> =>
  Object.fromEntries(Object.entries(value).filter(([, item]) => item !== undefined)) as Defined<T>
