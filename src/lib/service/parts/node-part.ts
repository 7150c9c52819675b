import {randomUUID} from 'node:crypto'
import {userInfo} from 'node:os'
import type {Config} from '../../config/index.js'
import {type Address, formatAddress} from '../../names/index.js'
import {type Node, startHostNode} from '../../node/index.js'
import type {SessionHub} from '../../session/index.js'
import {signerFromKey} from '../../sshcert/index.js'
import {acceptTransport, keepTunnel} from '../../tunnel/index.js'
import {machineAddress} from '../addresses.js'
import type {AuthLink} from '../auth-link.js'
import {listening} from '../listening.js'
import type {Part} from './part.js'

/** Starts the node of this machine. @throws config_invalid where it cannot listen, and what the auth service says */
export async function startNodePart(part: Part, link: AuthLink, hub: SessionHub): Promise<Node> {
  const {config, logger, hostId, version, now, resources, drain} = part
  const {listen, labels, commandLabels, permitUserEnv} = config.node
  if (process.getuid?.() !== 0)
    logger.warn({login: userInfo().username}, 'the node does not run as root: it serves this login only')
  const where = {what: 'the node', address: formatAddress(listen), setting: 'ssh_service.listen_addr'}
  const node = await listening(
    [where],
    startHostNode({
      ...{hostId, version, now, listen, labels, commandLabels, permitUserEnv},
      auth: link.as('node'),
      clusterName: link.cluster.clusterName,
      recording: () => link.recording('node'),
      ...link.beginning?.('node'),
      hub,
      nodename: config.nodename,
      advertise: address => advertisedAddress(config, address),
      tunnel: config.joining.proxyServers.length > 0,
      maxConnections: config.limits.maxConnections,
      keepAliveMilliseconds: link.cluster.keepAliveMilliseconds,
      algorithms: config.algorithms,
      log: logger,
      sessionId: randomUUID,
    }),
  )
  resources.add('node', () => node.close(drain.milliseconds))
  for (const address of config.joining.proxyServers) openTunnel(part, link, node, address)
  return node
}

/** Lets a proxy reach the node though nobody can connect to it. */
function openTunnel(
  {hostId, logger, now, resources}: Part,
  link: AuthLink,
  node: Node,
  address: Address,
): void {
  const auth = link.as('node')
  const tunnel = keepTunnel({
    ...{address, username: hostId, now, log: logger},
    async credential() {
      const {privateKey, publicBlob} = node.hostIdentity()
      return {blob: publicBlob, signer: signerFromKey(privateKey)}
    },
    cluster: async () => ({
      name: link.cluster.clusterName,
      hostAuthorities: (await auth.trustedAuthorities()).host,
    }),
    onChannelOpen: open => acceptTransport(open, node.serve),
  })
  resources.add(`tunnel to ${formatAddress(address)}`, tunnel.close)
}

/**
 * `host:port` by which others reach the node: as configured, where it listens, or the first address of the machine. One
 * that keeps tunnels is reached through them, unless it says otherwise.
 */
function advertisedAddress({advertiseIp, joining}: Config, {host, port}: Address): string | undefined {
  if (joining.proxyServers.length > 0 && advertiseIp === undefined) return undefined
  return machineAddress(advertiseIp, {host, port})
}
