import type {Certificate} from './certificate.js'

// Extensions of host certificates under the names that Teleport uses.
const roleExtension = 'x-teleport-role'
const clusterExtension = 'x-teleport-authority'

/** The part that the holder of a host certificate plays in its cluster; plain sshd plays none. */
export type HostRole = 'Proxy' | 'Node'

/** What a host certificate says about its holder's part. Only the auth service decides who gets it. */
export const hostRoleExtensions = (role: HostRole, clusterName: string): Map<string, string> =>
  new Map([
    [clusterExtension, clusterName],
    [roleExtension, role],
  ])

/** Of a certificate that was checked: its holder's part, and the cluster whose authority says so. */
export const hostRoleOf = ({extensions}: Certificate): {role?: string; clusterName?: string} => {
  const [role, clusterName] = [extensions.get(roleExtension), extensions.get(clusterExtension)]
  return {...(role !== undefined && {role}), ...(clusterName !== undefined && {clusterName})}
}
