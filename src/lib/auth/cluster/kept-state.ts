import {z} from 'zod'
import {lockKinds} from '../../access/index.js'
import {problem} from '../../errors/index.js'
import type {ClusterState} from './state-types.js'

// What a machine keeps on its disk of the state of its cluster. Whoever reads it has made sure that the machine wrote it
// itself; what is held to a shape here is what another version of the program may have written.

const names = z.array(z.string())
const blobs = z.array(z.custom<Buffer>(value => Buffer.isBuffer(value), 'expected bytes'))

const schema = z.looseObject({
  clusterName: z.string(),
  recording: z.enum(['node', 'proxy', 'off', 'node-sync', 'proxy-sync']),
  checkHostKeys: z.boolean(),
  keepAliveMilliseconds: z.number(),
  access: z.looseObject({
    clientIdleTimeoutSeconds: z.number(),
    disconnectExpiredCert: z.boolean(),
    recordSession: z.enum(['strict', 'best_effort']).optional(),
    requireSessionMfa: z.boolean().optional(),
  }),
  routingStrategy: z.enum(['unambiguous_match', 'most_recent']).optional(),
  authorities: z.looseObject({user: blobs, host: blobs, openssh: blobs}),
  machineAuthorities: names,
  users: z.array(z.looseObject({name: z.string(), logins: names, roles: names})),
  // A role that cannot be understood is refused by whatever decides.
  roles: z.array(z.looseObject({kind: z.literal('role'), metadata: z.looseObject({name: z.string()})})),
  locks: z.array(
    z.looseObject({
      ...{id: z.string(), name: z.string(), created: z.number(), createdBy: z.string()},
      kind: z.enum(lockKinds),
      message: z.string().optional(),
      expires: z.number().optional(),
    }),
  ),
  hosts: z.array(
    z.looseObject({
      ...{id: z.string(), hostname: z.string(), labels: z.record(z.string(), z.string())},
      subKind: z.enum(['node', 'openssh']),
      names: names.optional(),
      address: z.string().optional(),
    }),
  ),
})

/** @throws store_failed for what this version does not understand */
export function readClusterState(value: unknown): ClusterState {
  const checked = schema.safeParse(value)
  if (checked.success) return checked.data as unknown as ClusterState
  throw problem('store_failed', 'the state that was kept of the cluster cannot be understood', {
    cause: checked.error,
  })
}
