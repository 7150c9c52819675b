import {z} from 'zod'
import {patternProblem, type RoleMapping} from '../../access/index.js'
import {textWithout, yesNo} from '../../config/index.js'
import {asProblem} from '../../errors/index.js'
import {isUuid} from '../../names/index.js'
import {parsePins} from '../../pki/index.js'
import {roleNameProblem} from '../access/role-resource.js'
import {hostAddress} from '../inventory/node-resource.js'
import type {TrustedClusterResource} from '../resources/types.js'
import type {StoredTrustedCluster} from './records.js'

/** A trusted cluster that has been understood. */
export interface TrustDefinition {
  kind: 'trusted_cluster'
  /** The name that the other cluster gives itself. */
  name: string
  enabled: boolean
  /** `host:port` of its tunnel port. */
  tunnelAddress: string
  /** One of its tokens for this purpose. Never kept, and never given back. */
  token: string
  pins: string[]
  roleMap: RoleMapping[]
}

const maxMappings = 64
const maxLocalRoles = 64

/** Why this cannot be the name of another cluster, or undefined. A UUID would be taken for a node's. */
export const clusterNameProblem = (name: string): string | undefined =>
  /^[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$/.test(name) && !isUuid(name.toLowerCase())
    ? undefined
    : `${JSON.stringify(name.slice(0, 80))} cannot be the name of a cluster`

const pinsProblem = (text: string): string | undefined => {
  try {
    parsePins(text)
    return undefined
  } catch (error) {
    return asProblem(error).message
  }
}

const mapping = z.strictObject({
  remote: textWithout(patternProblem),
  local: z.array(textWithout(roleNameProblem)).min(1).max(maxLocalRoles),
})

/** `kind: trusted_cluster`, as a file or a request has it. */
export const trustSchema = z
  .strictObject({
    kind: z.literal('trusted_cluster'),
    version: z.enum(['v1', 'v2'], 'expected v1').optional(),
    metadata: z.strictObject({name: textWithout(clusterNameProblem)}),
    spec: z.strictObject({
      enabled: yesNo.optional(),
      token: z.string().min(1).max(256),
      tunnel_addr: z.string().refine(text => hostAddress(text) !== undefined, 'expected host:port'),
      ca_pin: textWithout(pinsProblem),
      role_map: z.array(mapping).min(1, 'without it its users have no role here').max(maxMappings),
    }),
  })
  .transform(
    ({metadata: {name}, spec}): TrustDefinition => ({
      ...{kind: 'trusted_cluster', name, enabled: spec.enabled ?? true, token: spec.token},
      tunnelAddress: hostAddress(spec.tunnel_addr) ?? '',
      pins: parsePins(spec.ca_pin),
      roleMap: spec.role_map,
    }),
  )

/** What `get` shows: without the token, which is used up, and the pin, which the keys have taken the place of. */
export const trustResource = (
  name: string,
  {enabled, tunnelAddress, roleMap}: Pick<StoredTrustedCluster, 'enabled' | 'tunnelAddress' | 'roleMap'>,
): TrustedClusterResource => ({
  kind: 'trusted_cluster',
  version: 'v1',
  metadata: {name},
  spec: {enabled, tunnel_addr: tunnelAddress, role_map: roleMap},
})
