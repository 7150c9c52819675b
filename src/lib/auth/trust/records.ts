import {z} from 'zod'
import type {Backend} from '../../backend/index.js'
import {createRecords, type Records} from '../records.js'

const keys = z.array(z.string())

/** A leaf: a cluster whose hosts the users of this one may reach, under its name. */
export const remoteClusterSchema = z.strictObject({
  version: z.literal(1),
  /** authorized_keys lines. */
  hostAuthorities: keys,
  /** Unix ms. */
  joined: z.number(),
})
export type StoredRemoteCluster = z.output<typeof remoteClusterSchema>

/** A root: a cluster whose users may reach hosts of this one, under its name. */
export const trustedClusterSchema = z.strictObject({
  version: z.literal(1),
  enabled: z.boolean(),
  /** `host:port` of its tunnel port. */
  tunnelAddress: z.string(),
  roleMap: z.array(z.strictObject({remote: z.string(), local: z.array(z.string())})),
  /** authorized_keys lines. */
  userAuthorities: keys,
  hostAuthorities: keys,
  /** Unix ms. */
  created: z.number(),
})
export type StoredTrustedCluster = z.output<typeof trustedClusterSchema>

export const trustedClustersPrefix = 'trusted-clusters/'

/** Other clusters that this one has to do with. */
export interface Trust {
  leaves: Records<StoredRemoteCluster>
  roots: Records<StoredTrustedCluster>
}

export const createTrust = (backend: Backend): Trust => ({
  leaves: createRecords(backend, 'remote-clusters', remoteClusterSchema),
  roots: createRecords(backend, trustedClustersPrefix.slice(0, -1), trustedClusterSchema),
})
