import {tmpdir} from 'node:os'
import type {Duplex} from 'node:stream'
import {splitAddress} from '../names/index.js'
import type {Channel} from '../ssh/index.js'
import {joinPlug, streamPlug} from './join-plug.js'
import {
  openAgentSocket,
  processEnvironment,
  readEnvironmentFile,
  resolveAccount,
  startProcess,
  sweepAgentSockets,
} from './process/index.js'
import type {NodeSystem, SessionEnvironment} from './types.js'

export interface NodeSystemOptions {
  hostId: string
  clusterName: string
  permitUserEnv: boolean
}

/** This host, as sessions see it. Sockets of agents that a node before us left behind are gone when it resolves. */
export async function openNodeSystem(options: NodeSystemOptions): Promise<NodeSystem> {
  const directory = tmpdir()
  await sweepAgentSockets(directory)
  return {
    account: resolveAccount,
    environment: session => environmentOf(options, session),
    start: startProcess,
    openAgent: (account, connect) =>
      openAgentSocket({account, directory, onConnection: stream => void lead(stream, connect)}),
  }
}

/** Joins a program that looks for its agent with the client's. */
async function lead(program: Duplex, connect: () => Promise<Channel>): Promise<void> {
  const plug = streamPlug(program)
  try {
    await joinPlug(await connect(), plug, () => undefined)
  } catch {
    // The program sees the end of the connection, which is how an agent says no.
    plug.destroy()
  }
}

async function environmentOf(
  {hostId, clusterName: cluster, permitUserEnv}: NodeSystemOptions,
  {account, wished, sid, user, agentSocket, originalCommand, ...addresses}: SessionEnvironment,
): Promise<Record<string, string>> {
  const [client, server] = [splitAddress(addresses.remoteAddress), splitAddress(addresses.localAddress)]
  const variables = processEnvironment({
    account,
    session: {id: sid, user, hostId, cluster},
    ...(client && server && {connection: {client, server}}),
    client: wished,
    ...(permitUserEnv && {file: await readEnvironmentFile(account)}),
    ...(agentSocket !== undefined && {agentSocket}),
  })
  return originalCommand === undefined ? variables : {...variables, SSH_ORIGINAL_COMMAND: originalCommand}
}
