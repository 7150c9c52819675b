import {randomUUID} from 'node:crypto'
import {networkInterfaces, userInfo} from 'node:os'
import type {Logger} from 'pino'
import {type Address, type Config, formatAddress} from '../config/index.js'
import {type Node, type NodeAuth, startHostNode} from '../node/index.js'
import {listening} from './listening.js'

export interface NodePart {
  config: Config
  logger: Logger
  version: string
  /** Unix ms. */
  now: () => number
  /** As `{kind: 'system', role: 'node', hostId}`. */
  auth: NodeAuth
  hostId: string
}

/** Starts the node of this machine. @throws config_invalid where it cannot listen, and what the auth service says */
export async function startNodePart({config, logger, auth, ...part}: NodePart): Promise<Node> {
  const {listen, labels, commandLabels, permitUserEnv} = config.node
  if (process.getuid?.() !== 0)
    logger.warn({login: userInfo().username}, 'the node does not run as root: it serves this login only')
  const where = {address: formatAddress(listen), setting: 'ssh_service.listen_addr'}
  return listening(
    'the node',
    where,
    startHostNode({
      ...{...part, auth, listen, labels, commandLabels, permitUserEnv},
      nodename: config.nodename,
      advertise: address => advertisedAddress(config, address),
      maxConnections: config.limits.maxConnections,
      keepAliveMilliseconds: config.auth.keepAliveIntervalMs,
      algorithms: config.algorithms,
      log: logger,
      sessionId: randomUUID,
    }),
  )
}

/** `host:port` by which others reach the node: as configured, where it listens, or the first address of the machine. */
function advertisedAddress({advertiseIp}: Config, {host, port}: Address): string {
  const wildcard = host === '0.0.0.0' || host === '::'
  const own = Object.values(networkInterfaces())
    .flatMap(list => list ?? [])
    .find(({internal, address}) => !internal && !address.startsWith('fe80:'))
  return formatAddress({host: advertiseIp ?? (wildcard ? (own?.address ?? '127.0.0.1') : host), port})
}
