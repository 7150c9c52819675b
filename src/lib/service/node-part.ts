import {randomUUID} from 'node:crypto'
import {networkInterfaces, userInfo} from 'node:os'
import {type Address, type Config, formatAddress} from '../config/index.js'
import {type Node, startHostNode} from '../node/index.js'
import type {SessionHub} from '../session/index.js'
import type {AuthLink} from './auth-link.js'
import {listening} from './listening.js'
import type {Part} from './part.js'

/** Starts the node of this machine. @throws config_invalid where it cannot listen, and what the auth service says */
export async function startNodePart(part: Part, link: AuthLink, hub: SessionHub): Promise<Node> {
  const {config, logger, hostId, version, now, resources, drain} = part
  const {listen, labels, commandLabels, permitUserEnv} = config.node
  if (process.getuid?.() !== 0)
    logger.warn({login: userInfo().username}, 'the node does not run as root: it serves this login only')
  const where = {address: formatAddress(listen), setting: 'ssh_service.listen_addr'}
  const node = await listening(
    'the node',
    where,
    startHostNode({
      ...{hostId, version, now, listen, labels, commandLabels, permitUserEnv},
      auth: link.as('node'),
      hub,
      nodename: config.nodename,
      advertise: address => advertisedAddress(config, address),
      maxConnections: config.limits.maxConnections,
      keepAliveMilliseconds: link.cluster.keepAliveMilliseconds,
      algorithms: config.algorithms,
      log: logger,
      sessionId: randomUUID,
    }),
  )
  resources.add('node', () => node.close(drain.milliseconds))
  return node
}

/** `host:port` by which others reach the node: as configured, where it listens, or the first address of the machine. */
function advertisedAddress({advertiseIp}: Config, {host, port}: Address): string {
  const wildcard = host === '0.0.0.0' || host === '::'
  const own = Object.values(networkInterfaces())
    .flatMap(list => list ?? [])
    .find(({internal, address}) => !internal && !address.startsWith('fe80:'))
  return formatAddress({host: advertiseIp ?? (wildcard ? (own?.address ?? '127.0.0.1') : host), port})
}
