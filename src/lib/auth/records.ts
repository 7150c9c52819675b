import {z} from 'zod'
import {joinModes, lockKinds, sessionKinds} from '../access/index.js'
import type {Backend, Item, Write} from '../backend/index.js'
import {problem} from '../errors/index.js'
import {isUuid} from '../names/index.js'

/** A typed collection of JSON records in the backend, under one prefix. */
export interface Records<Value> {
  get(id: string): Promise<{value: Value; revision: number} | undefined>
  /** False when there is one already. */
  create(id: string, value: Value, expires?: number): Promise<boolean>
  put(id: string, value: Value, expires?: number): Promise<void>
  /** False when the record is no longer at this revision. */
  replace(id: string, revision: number, value: Value, expires?: number): Promise<boolean>
  delete(id: string): Promise<boolean>
  list(): Promise<Value[]>
  entries(): Promise<{id: string; value: Value; revision: number}[]>
  /** Steps for a transaction that spans collections. */
  creating(id: string, value: Value, expires?: number): Write
  replacing(id: string, revision: number, value: Value, expires?: number): Write
  deleting(id: string, revision: number): Write
}

export function createRecords<Value>(
  backend: Backend,
  prefix: string,
  schema: z.ZodType<Value>,
): Records<Value> {
  const key = (id: string): string => `${prefix}/${id}`
  const encode = (value: Value): Buffer => Buffer.from(JSON.stringify(value))
  const lifetime = (expires: number | undefined) => (expires === undefined ? {} : {expires})
  const decode = (item: Item): Value => {
    const parsed = schema.safeParse(JSON.parse(item.value.toString('utf8')))
    if (parsed.success) return parsed.data
    throw problem('store_failed', `the stored record ${item.key} cannot be read`, {cause: parsed.error})
  }
  const entries = async (): Promise<{id: string; value: Value; revision: number}[]> => {
    const found: {id: string; value: Value; revision: number}[] = []
    for (let after: string | undefined; ; ) {
      const page = await backend.range(`${prefix}/`, after === undefined ? {} : {after})
      for (const item of page)
        found.push({id: item.key.slice(prefix.length + 1), value: decode(item), revision: item.revision})
      after = page.at(-1)?.key
      if (after === undefined) return found
    }
  }
  return {
    async get(id) {
      const item = await backend.get(key(id))
      return item && {value: decode(item), revision: item.revision}
    },
    async create(id, value, expires) {
      return (await backend.create(key(id), encode(value), lifetime(expires))) !== undefined
    },
    async put(id, value, expires) {
      await backend.put(key(id), encode(value), lifetime(expires))
    },
    async replace(id, revision, value, expires) {
      return (await backend.cas(key(id), revision, encode(value), lifetime(expires))) !== undefined
    },
    delete: id => backend.delete(key(id)),
    creating: (id, value, expires) => ({
      ...{type: 'create', key: key(id), value: encode(value)},
      ...lifetime(expires),
    }),
    replacing: (id, revision, value, expires) => ({
      ...{type: 'cas', key: key(id), revision, value: encode(value)},
      ...lifetime(expires),
    }),
    deleting: (id, revision) => ({type: 'delete', key: key(id), revision}),
    entries,
    list: async () => (await entries()).map(({value}) => value),
  }
}

const passwordHash = z.string().startsWith('$argon2id$')

export const userSchema = z.strictObject({
  version: z.literal(1),
  /** As given; the record's id is its lower-case form. */
  name: z.string(),
  logins: z.array(z.string()),
  roles: z.array(z.string()),
  /** Absent until the invite is accepted. */
  passwordHash: passwordHash.optional(),
  /** Base32 secret of the authenticator. */
  otpSecret: z.string().optional(),
  /** Unix ms. */
  created: z.number(),
})
export type User = z.output<typeof userSchema>

export const inviteSchema = z.strictObject({
  version: z.literal(1),
  user: z.string(),
  kind: z.enum(['invite', 'reset']),
  /** Made with the invite, so that looking at it twice shows the same QR code. */
  otpSecret: z.string().optional(),
  /** Unix ms. */
  expires: z.number(),
})
export type StoredInvite = z.output<typeof inviteSchema>

export const failuresSchema = z.strictObject({
  version: z.literal(1),
  /** Unix ms of the failures that still count, oldest first. */
  times: z.array(z.number()),
  /** Unix ms until which the account is locked. */
  lockedUntil: z.number().optional(),
})
export type Failures = z.output<typeof failuresSchema>

export const otpUseSchema = z.strictObject({version: z.literal(1), counter: z.number()})
export type OtpUse = z.output<typeof otpUseSchema>

export const storedRoleSchema = z.strictObject({
  version: z.literal(1),
  /** In the one way that `roleResource` writes it; understood anew each time, so that no error in it passes. */
  resource: z.looseObject({}),
})
export type StoredRole = z.output<typeof storedRoleSchema>

export const hostSchema = z.strictObject({
  version: z.literal(1),
  subKind: z.enum(['node', 'openssh']),
  hostname: z.string(),
  names: z.array(z.string()).optional(),
  /** `host:port` */
  address: z.string().optional(),
  labels: z.record(z.string(), z.string()),
  tunnel: z.boolean().optional(),
  /** Of the program that a node runs. */
  release: z.string().optional(),
  /** Unix ms, of a node. */
  lastSeen: z.number().optional(),
  /** Unix ms, of a registered host. */
  registered: z.number().optional(),
  /** `SHA256:…` of the key that the host was enrolled with; absent where it was registered by hand. */
  hostKey: z.string().optional(),
})
export type StoredHost = z.output<typeof hostSchema>

export const lockSchema = z.strictObject({
  version: z.literal(1),
  kind: z.enum(lockKinds),
  name: z.string(),
  message: z.string().optional(),
  /** Unix ms. */
  created: z.number(),
  createdBy: z.string(),
  /** Unix ms. */
  expires: z.number().optional(),
})
export type StoredLock = z.output<typeof lockSchema>

const bounded = z.string().max(1024)

/** What whoever holds a session says of it. */
export const sessionTrackerSchema = z.strictObject({
  sid: z.string().refine(isUuid, 'is not a session ID'),
  kind: z.enum(sessionKinds),
  state: z.enum(['pending', 'running', 'terminated']),
  user: bounded,
  roles: z.array(bounded).max(256),
  login: bounded,
  host: bounded,
  address: bounded,
  hostId: bounded.optional(),
  interactive: z.boolean(),
  command: bounded.optional(),
  /** Unix ms. */
  started: z.number(),
  participants: z
    .array(
      z.strictObject({
        id: bounded,
        user: bounded,
        mode: z.enum(joinModes),
        /** Unix ms. */
        joined: z.number(),
        lastActive: z.number(),
      }),
    )
    .max(256),
  waitsFor: z.string().max(4096).optional(),
  heldBy: bounded,
  holder: bounded,
})

export const trackerSchema = sessionTrackerSchema.extend({version: z.literal(1)})
export type StoredTracker = z.output<typeof trackerSchema>

export const endingSchema = z.strictObject({
  version: z.literal(1),
  by: z.string(),
  reason: z.string().optional(),
})
export type StoredEnding = z.output<typeof endingSchema>
