import {type HostRecord, isOnline} from '../../access/index.js'
import type {AuthContext} from '../context.js'
import type {Caller} from '../contract.js'
import {isReserved, namesOfCluster} from './names-of-cluster.js'

type ClaimsContext = Pick<AuthContext, 'inventory' | 'joining' | 'now' | 'publicUrl' | 'settings'>

/**
 * The names that a node gets a certificate for, of those it claims. Who had the name of another machine could stand in
 * for it, so a node elsewhere gets none that is the cluster's own, that of a registered host, or that of a node that is
 * there and joined before it. A node of this process is believed.
 */
export async function freeNames(
  context: ClaimsContext,
  caller: Caller,
  claimed: readonly string[],
): Promise<string[]> {
  if (caller.kind !== 'system' || caller.address === undefined || caller.hostId === undefined)
    return [...claimed]
  const {hostId} = caller
  const own = (await isProxy(context, hostId)) ? [] : await namesOfCluster(context)
  const kept: string[] = []
  for (const name of claimed)
    if (isLocal(name) || !(isReserved(own, name) || (await isTaken(context, hostId, name)))) kept.push(name)
  return kept
}

/** What every machine is to itself. */
const isLocal = (name: string): boolean => isReserved([], name)

/** On the machine of a proxy a node goes by the same name. */
const isProxy = async ({joining}: ClaimsContext, hostId: string): Promise<boolean> =>
  (await joining.machines.get(hostId))?.value.roles.includes('proxy') ?? false

async function isTaken(context: ClaimsContext, hostId: string, name: string): Promise<boolean> {
  const {inventory, now} = context
  const others = (await inventory.matching([name])).filter(({id}) => id !== hostId)
  const mine = await joinedAt(context, hostId)
  for (const other of others) if (isOnline(other, now()) && (await isFirst(context, other, mine))) return true
  return false
}

const isFirst = async (context: ClaimsContext, {id, subKind}: HostRecord, mine: number): Promise<boolean> =>
  subKind === 'openssh' || (await joinedAt(context, id)) <= mine

/** Unix ms; the node of the auth host has joined before all others. */
const joinedAt = async ({joining}: ClaimsContext, hostId: string): Promise<number> =>
  (await joining.machines.get(hostId))?.value.joined ?? 0
