import {isIP} from 'node:net'
import {problem} from '../../errors/index.js'
import {isUuid} from '../../names/index.js'
import type {Caller} from '../contract.js'

/** A node that is taken out of the cluster is believed for no longer than this. */
export const nodeHostTtlSeconds = 24 * 3600

const dnsName = /^[a-z0-9]([a-z0-9._-]{0,251}[a-z0-9])?$/

/**
 * The names that a node's host certificate carries: its UUID, which the transport vouches for, and the name it goes by,
 * each also within the cluster; and what the machine calls itself. Pure.
 * @throws access_denied for a caller that no machine is known of; invalid_input for a name that may not be a node's
 */
export function nodePrincipals(caller: Caller, nodename: string, clusterName: string): string[] {
  const hostId = caller.kind === 'system' && caller.role === 'node' ? caller.hostId : undefined
  if (hostId === undefined || !isUuid(hostId))
    throw problem('access_denied', 'a host certificate is for nodes that have joined the cluster')
  const name = nodename.toLowerCase()
  if (!dnsName.test(name) || name === 'localhost' || isIP(name) !== 0)
    throw problem('invalid_input', `${JSON.stringify(nodename.slice(0, 64))} cannot be the name of a node`, {
      hint: 'choose a DNS name with --nodename',
    })
  // It would be taken for the node that has this UUID.
  if (isUuid(name.split('.')[0] ?? '') && name !== hostId)
    throw problem('access_denied', 'the name of a node is the UUID of another one', {
      hint: 'choose another name with --nodename',
    })
  const names = [`${hostId}.${clusterName}`, hostId, `${name}.${clusterName}`, name]
  return [...new Set([...names, 'localhost', '127.0.0.1', '::1'])]
}
