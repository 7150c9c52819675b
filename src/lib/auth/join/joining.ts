import {createHash} from 'node:crypto'
import {z} from 'zod'
import type {Backend} from '../../backend/index.js'
import type {TokenRole} from '../contract.js'
import {createRecords, type Records} from '../records.js'
import {createFailureLimit, type FailureLimit} from './failure-limit.js'

/** A token of the configuration. */
export interface StaticToken {
  value: string
  roles: readonly TokenRole[]
}

const joinRoles = z.array(z.enum(['proxy', 'node']))
const tokenRoles = z.array(z.enum(['proxy', 'node', 'openssh', 'trusted_cluster']))

/** Under the SHA-256 of the token: whoever reads the state cannot join with it. */
export const joinTokenSchema = z.strictObject({
  version: z.literal(1),
  /** To name it by. */
  id: z.string(),
  roles: tokenRoles,
  /** Unix ms. */
  expires: z.number(),
  createdBy: z.string(),
})
export type StoredJoinToken = z.output<typeof joinTokenSchema>

/** A machine that has joined, under its UUID: as long as its certificates live, the UUID belongs to its key. */
export const machineSchema = z.strictObject({
  version: z.literal(1),
  /** Hex SHA-256 of the SubjectPublicKeyInfo. */
  key: z.string(),
  nodename: z.string(),
  roles: joinRoles,
  /** Unix ms. */
  joined: z.number(),
})
export type StoredMachine = z.output<typeof machineSchema>

/** Where users reach the web ports of proxies on other machines: of all, the one that said so last. */
export const webAddressSchema = z.strictObject({version: z.literal(1), url: z.string()})

/** Where a proxy is reached by other proxies, under its UUID. */
export const proxyPlaceSchema = z.strictObject({
  version: z.literal(1),
  /** `host:port` of its SSH front. */
  address: z.string(),
})

/** What joining works with. */
export interface Joining {
  tokens: Records<StoredJoinToken>
  machines: Records<StoredMachine>
  /** Of guessed tokens. */
  failures: FailureLimit
  authAddress: () => string
  webAddress: Records<z.output<typeof webAddressSchema>>
  proxies: Records<z.output<typeof proxyPlaceSchema>>
}

export const createJoining = (
  backend: Backend,
  now: () => number,
  authAddress: () => string = () => 'localhost:3025',
): Joining => ({
  tokens: createRecords(backend, 'join-tokens', joinTokenSchema),
  machines: createRecords(backend, 'machines', machineSchema),
  failures: createFailureLimit({perAddress: 10, total: 200, windowMilliseconds: 60_000, now}),
  authAddress,
  webAddress: createRecords(backend, 'web-address', webAddressSchema),
  proxies: createRecords(backend, 'proxies', proxyPlaceSchema),
})

export const sha256Hex = (data: string | Buffer): string => createHash('sha256').update(data).digest('hex')
