import type {JoinPolicy, JoinRequirement} from './join-policies.js'
import type {Strictness} from './types.js'

/** A role as an administrator writes it (`kind: role`), with every field filled in. */
export interface Role {
  name: string
  allow: RoleConditions
  deny: RoleConditions
  options: RoleOptions
}

export interface RoleConditions {
  /** Logins, or templates such as `{{internal.logins}}`. `*` is not a pattern here. */
  logins: readonly string[]
  /** Label → accepted values: AND across labels, OR within one; literal, `*` glob or `^regex$`. */
  nodeLabels: Readonly<Record<string, readonly string[]>>
  rules: readonly Rule[]
  /** Which sessions of others may be joined, and how. */
  joinSessions?: readonly JoinPolicy[]
  /** Who has to look on at sessions; of `allow` alone. */
  requireSessionJoin?: readonly JoinRequirement[]
}

/** What a role may do with resources of a kind. */
export interface Rule {
  resources: readonly string[]
  verbs: readonly string[]
}

/** Options of a role; undefined leaves the matter to other roles and to the default. */
export interface RoleOptions {
  maxSessionTtlSeconds?: number
  forwardAgent?: boolean
  portForwarding?: boolean
  clientIdleTimeoutSeconds?: number
  maxConnections?: number
  maxSessions?: number
  disconnectExpiredCert?: boolean
  permitX11Forwarding?: boolean
  requireSessionMfa?: boolean
  pinSourceIp?: boolean
  recordSession?: Strictness
  lock?: Strictness
}

const nothing: RoleConditions = {logins: [], nodeLabels: {}, rules: []}

/** The roles every cluster has. They cannot be changed, so that nobody locks themselves out by editing them. */
export const presetRoles: Readonly<Record<string, Role>> = {
  access: {
    name: 'access',
    allow: {logins: ['{{internal.logins}}'], nodeLabels: {'*': ['*']}, rules: []},
    deny: nothing,
    options: {forwardAgent: true},
  },
  auditor: {
    name: 'auditor',
    allow: {
      ...nothing,
      rules: [{resources: ['session', 'event'], verbs: ['list', 'read']}],
      joinSessions: [{name: 'watch', roles: ['*'], kinds: ['*'], modes: ['observer']}],
    },
    deny: nothing,
    options: {},
  },
  editor: {
    name: 'editor',
    allow: {
      ...nothing,
      rules: [
        {
          resources: ['user', 'role', 'lock', 'cert_authority', 'node', 'token', 'trusted_cluster'],
          verbs: ['list', 'read', 'create', 'update', 'delete'],
        },
      ],
    },
    deny: nothing,
    options: {},
  },
}

export const isPreset = (name: string): boolean => Object.hasOwn(presetRoles, name)

/**
 * What counts of a role that somebody has and their certificate does not name yet: what it forbids and limits, not
 * what it gives.
 */
export function restrictionsOf({name, allow, deny, options}: Role): Role {
  const {forwardAgent: _agent, permitX11Forwarding: _x11, maxSessions, ...limits} = options
  // 0 lifts a limit.
  const sessions = maxSessions ? {maxSessions} : {}
  const {requireSessionJoin} = allow
  return {
    name,
    allow: {...nothing, ...(requireSessionJoin && {requireSessionJoin})},
    deny,
    options: {...limits, ...sessions, portForwarding: false},
  }
}
