import {z} from 'zod'
import {lockKinds} from '../../access/index.js'
import {maxLabelName, maxLabelValue} from '../../names/index.js'
import {enrolInput} from '../join/enrol-input.js'
import {maxResources} from '../resources/resource.js'
import type {RemoteMethod} from './remote-methods.js'

/** Bounds on what comes over the wire, before anything looks at the meaning. */
const name = z.string().max(256)
const key = z.string().max(64 * 1024)
const ttlSeconds = z.number().finite().positive().optional()
const names = z.array(name).max(256)
/** What a resource says is looked at by the methods themselves, which name the field that is wrong. */
const resource = z.looseObject({})
const reason = z.string().max(1024).optional()
const limit = z.number().int().min(1).max(10_000).optional()
const date = z.iso
  .datetime()
  .transform(text => new Date(text))
  .optional()
/** Of sessions in a list, page by page. */
const whichSessions = {
  user: name.optional(),
  host: name.optional(),
  login: name.optional(),
  from: date,
  to: date,
  after: name.optional(),
  limit,
}

/** The shape of the one argument of each method that can be called from outside the process. */
export const methodInputs = {
  ping: z.undefined(),
  exportAuthorities: z.strictObject({
    type: z.enum(['user', 'host', 'openssh', 'tls-host', 'tls-user', 'recording']),
    fingerprint: name.optional(),
  }),
  createUser: z.strictObject({name, logins: names, roles: names.optional(), ttlSeconds}),
  updateUser: z.strictObject({name, logins: names.optional(), roles: names.optional()}),
  listUsers: z.undefined(),
  removeUser: name,
  resetUser: z.strictObject({name, ttlSeconds}),
  unlockUser: name,
  createResources: z.strictObject({
    resources: z.array(resource).max(maxResources),
    force: z.boolean().optional(),
  }),
  listRoles: z.undefined(),
  getRole: name,
  updateRole: z.strictObject({resource, revision: z.number().int()}),
  removeRole: z.strictObject({name, force: z.boolean().optional()}),
  createLock: z.strictObject({
    kind: z.enum(lockKinds),
    name,
    message: z.string().max(1024).optional(),
    ttlSeconds,
  }),
  listLocks: z.undefined(),
  removeLock: name,
  enrolHost: enrolInput,
  listHosts: z.strictObject({
    search: name.optional(),
    labels: z.record(z.string().max(maxLabelName), z.string().max(maxLabelValue)).optional(),
  }),
  getHost: name,
  updateHost: z.strictObject({resource, revision: z.number().int()}),
  removeHost: name,
  listRemoteClusters: z.undefined(),
  removeRemoteCluster: name,
  listTrustedClusters: z.undefined(),
  removeTrustedCluster: name,
  explainAccess: z.strictObject({user: name, login: name, host: name}),
  listAuthorities: z.undefined(),
  signHost: z.strictObject({principals: names, publicKey: key, ttlSeconds}),
  signUser: z.strictObject({user: name, publicKey: key, ttlSeconds}),
  createToken: z.strictObject({
    roles: z.array(z.enum(['proxy', 'node', 'openssh', 'trusted_cluster'])).max(4),
    ttlSeconds,
    value: name.optional(),
  }),
  listTokens: z.undefined(),
  removeToken: name,
  listEvents: z.strictObject({
    event: z.array(name).max(64).optional(),
    user: name.optional(),
    sid: name.optional(),
    login: name.optional(),
    host: name.optional(),
    from: date,
    to: date,
    success: z.boolean().optional(),
    without: z.array(name).max(64).optional(),
    after: z.number().int().nonnegative().optional(),
    before: z.number().int().nonnegative().optional(),
    order: z.enum(['newest', 'oldest']).optional(),
    limit,
  }),
  listRecordings: z.strictObject({...whichSessions, held: z.boolean().optional()}),
  searchRecordings: z.strictObject({
    text: z.string().max(1024),
    regex: z.boolean().optional(),
    ignoreCase: z.boolean().optional(),
    sid: name.optional(),
    ...whichSessions,
  }),
  openRecording: name,
  removeRecording: z.strictObject({sid: name, reason}),
  getTombstone: name,
  holdRecording: z.strictObject({sid: name, reason}),
  releaseRecording: z.strictObject({sid: name, reason}),
  auditCheckpoint: z.undefined(),
  listTrackers: z.undefined(),
  endSession: z.strictObject({sid: name, reason: z.string().max(1024).optional()}),
} as const satisfies Record<RemoteMethod, z.ZodType>
