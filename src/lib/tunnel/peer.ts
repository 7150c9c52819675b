import {problem} from '../errors/index.js'
import {isUuid} from '../names/index.js'
import {type Certificate, checkCertificate, hostRoleOf} from '../sshcert/index.js'

/** Who keeps a tunnel open. */
export type TunnelPeer =
  /** A node of this cluster, by its UUID. */
  | {kind: 'node'; id: string}
  /** A proxy of a leaf cluster, by the cluster's name. */
  | {kind: 'cluster'; name: string}

export interface TunnelTrust {
  clusterName: string
  /** Plain public key blobs of this cluster's host authority. */
  hostAuthorities: readonly Buffer[]
  /** The host authorities of each leaf cluster that is trusted and enabled. */
  leaves: ReadonlyMap<string, readonly Buffer[]>
  /** Unix ms. */
  now: number
}

/**
 * Decides whether the holder of a host certificate may keep a tunnel open, and for whom. A node comes as its UUID with
 * a node's certificate of this cluster; a leaf's proxy comes as the leaf's name with a proxy's certificate of that very
 * leaf: what one cluster signs says nothing about another. Pure.
 * @throws access_denied, certificate_rejected, certificate_expired, clock_skew
 */
export function judgeTunnelPeer(username: string, certificate: Certificate, trust: TunnelTrust): TunnelPeer {
  const {role, clusterName} = hostRoleOf(certificate)
  const leaf = trust.leaves.get(username)
  const {now} = trust
  if (leaf && username !== trust.clusterName) {
    checkCertificate(certificate, {kind: 'host', authorities: leaf, now})
    if (clusterName !== username || role !== 'Proxy')
      throw problem('access_denied', `the certificate is not of a proxy of the cluster ${username}`)
    return {kind: 'cluster', name: username}
  }
  const principal = `${username}.${trust.clusterName}`
  checkCertificate(certificate, {kind: 'host', authorities: trust.hostAuthorities, principal, now})
  // Whoever holds a certificate for a name of plain sshd is no node.
  if (role !== 'Node') throw problem('access_denied', 'only nodes keep tunnels open')
  if (!isUuid(username)) throw problem('access_denied', 'a node keeps its tunnel by its UUID')
  return {kind: 'node', id: username}
}
