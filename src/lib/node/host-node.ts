import {type Node, type NodeOptions, startNode} from './start.js'
import {openNodeSystem} from './system.js'
import {createUserSockets} from './user-sockets.js'

export interface HostNodeOptions extends Omit<NodeOptions, 'system' | 'sockets'> {
  /** Let users set their environment in `~/.tsh/environment`. */
  permitUserEnv: boolean
}

/** Starts a node that serves this host. @throws as `startNode` */
export async function startHostNode({permitUserEnv, ...options}: HostNodeOptions): Promise<Node> {
  const {hostId, clusterName} = options
  const system = await openNodeSystem({hostId, clusterName, permitUserEnv})
  return startNode({...options, system, sockets: createUserSockets(process.getuid?.() ?? -1)})
}
