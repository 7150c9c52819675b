import {isIP} from 'node:net'
import {z} from 'zod'
import {type EventName, eventCodes} from '../../audit/index.js'
import {isUuid, splitAddress} from '../../names/index.js'
import type {AuthApi} from '../contract.js'
import {enrolInput} from '../join/enrol-input.js'
import type {SystemApi} from '../system-api.js'

/** Bounds on what other machines send, before anything looks at the meaning. */
const name = z.string().max(256)
const text = z.string().max(64 * 1024)
const address = z.string().max(300)
const sid = z.string().max(64)
const milliseconds = z.number()
const bytes = z.custom<Buffer>(value => Buffer.isBuffer(value) && value.length <= 64 * 1024, 'expected bytes')
const names = z.array(name).max(1024)
const labels = z.record(name, z.string().max(1024))
const uuid = z.string().refine(isUuid, 'expected a UUID in small letters')

const peerAddress = z
  .string()
  .max(64)
  .refine(value => isIP(splitAddress(value)?.host ?? '') !== 0, 'expected ip:port')

const identity = z.strictObject({user: name, roles: names, logins: names, validBefore: z.number()})

const auditInput = z.strictObject({
  event: z.custom<EventName>(value => typeof value === 'string' && Object.hasOwn(eventCodes, value)),
  uid: sid.optional(),
  time: milliseconds.optional(),
  success: z.boolean().optional(),
  error: text.optional(),
  // Names that strangers made up go on record, too; the log cuts them.
  user: text.optional(),
  login: text.optional(),
  sid: sid.optional(),
  server_id: name.optional(),
  server_hostname: text.optional(),
  server_addr: address.optional(),
  server_labels: labels.optional(),
  forwarded_by: name.optional(),
  'addr.local': address.optional(),
  'addr.remote': address.optional(),
  proto: z.enum(['ssh', 'https', 'unix']).optional(),
  fields: z.record(z.string(), z.unknown()).optional(),
})

/** What the store of recordings and the keepers of trackers and hosts hold to schemas of their own. */
const checkedThere = z.looseObject({})
const count = z.number().int().nonnegative()
const digest = z.string().max(128)

/**
 * The arguments of every method that roles on other machines call, as they come over the wire. Methods that answer with
 * a stream take a signal, which does not travel: the end of the connection stands for it.
 */
export const systemInputs = {
  ping: z.tuple([]),
  join: z.tuple([
    z.strictObject({
      ...{token: name, hostId: name, nodename: z.string().max(1024), publicKey: z.string().max(4096)},
      roles: z.array(z.enum(['proxy', 'node'])).max(2),
    }),
  ]),
  enrolHost: z.tuple([enrolInput]),
  establishTrust: z.tuple([
    z.strictObject({token: name, clusterName: name, hostAuthorities: z.array(z.string().max(8192)).max(16)}),
  ]),
  listRemoteClusters: z.tuple([]),
  admitForeign: z.tuple([
    z.strictObject({
      ...{cluster: name, identity, host: name, port: count},
      login: name.optional(),
      addresses: z.array(name).max(256).optional(),
    }),
  ]),
  trustedAuthorities: z.tuple([]),
  issueProxyHostCertificate: z.tuple([z.strictObject({principals: names, publicKey: bytes})]),
  issueNodeHostCertificate: z.tuple([z.strictObject({nodename: z.string().max(1024), publicKey: bytes})]),
  renewHostCertificates: z.tuple([z.strictObject({publicKey: z.string().max(4096)})]),
  announceProxy: z.tuple([z.strictObject({webUrl: z.string().max(300)})]),
  vouchConnection: z.tuple([z.strictObject({port: count.max(65_535), address: peerAddress})]),
  placeProxy: z.tuple([z.strictObject({address})]),
  heartbeat: z.tuple([checkedThere]),
  listHosts: z.tuple([z.strictObject({search: z.string().max(1024).optional(), labels: labels.optional()})]),
  routeHost: z.tuple([
    z.strictObject({
      ...{identity, host: name, port: count},
      addresses: z.array(name).max(256).optional(),
    }),
  ]),
  decide: z.tuple([
    z.strictObject({
      ...{identity, login: name, host: name},
      cluster: name.optional(),
      hostId: uuid.optional(),
      labels: labels.optional(),
    }),
  ]),
  checkSessionMfa: z.tuple([
    z.strictObject({
      ...{user: name, code: name, address},
      ...{login: name.optional(), server_hostname: name.optional(), sid: sid.optional()},
    }),
  ]),
  upsertTracker: z.tuple([checkedThere]),
  removeTracker: z.tuple([sid]),
  dropTrackers: z.tuple([name]),
  permitJoin: z.tuple([z.strictObject({identity, sid, mode: z.enum(['observer', 'moderator', 'peer'])})]),
  emit: z.tuple([auditInput]),
  emitAll: z.tuple([z.array(auditInput).max(1000)]),
  beginRecording: z.tuple([checkedThere]),
  /** The chunk's bytes come after the line of JSON. */
  appendRecording: z.tuple([
    sid,
    z.strictObject({sequence: count, firstMs: milliseconds, lastMs: milliseconds, digest}),
  ]),
  sealRecording: z.tuple([
    sid,
    z.strictObject({
      ...{endedAt: milliseconds, durationMs: milliseconds, chunks: count, head: digest},
      truncated: text.optional(),
    }),
  ]),
} as const satisfies Record<SystemCall, z.ZodType>

export type SystemCall = Exclude<keyof SystemApi, StreamMethod>

export const streamMethods = [
  'watchLocks',
  'watchCluster',
  'watchEndings',
  'watchTrustedClusters',
] as const satisfies readonly (keyof AuthApi)[]
export type StreamMethod = (typeof streamMethods)[number]

/** What a proxy may ask for somebody without a name, who came to its web port. */
export const anonymousInputs = {
  ping: z.tuple([]),
  login: z.tuple([
    z.strictObject({
      ...{user: name, password: text, publicKey: text},
      otp: name.optional(),
      ttlSeconds: z.number().optional(),
    }),
  ]),
  getInvite: z.tuple([name]),
  acceptInvite: z.tuple([z.strictObject({token: name, password: text, otp: name.optional()})]),
  exportAuthorities: z.tuple([z.strictObject({type: name, fingerprint: name.optional()})]),
} as const satisfies Partial<Record<keyof AuthApi, z.ZodType>>

export type AnonymousCall = keyof typeof anonymousInputs

/** The auth API as the web has it. */
export type AnonymousApi = Pick<AuthApi, AnonymousCall>
