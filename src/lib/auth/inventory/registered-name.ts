import type {AuthContext} from '../context.js'

/** What the cluster knows a node by: its name in the inventory, or else that with which its machine joined. */
export async function registeredName(
  {inventory, joining}: Pick<AuthContext, 'inventory' | 'joining'>,
  hostId: string,
): Promise<string> {
  const hostname = (await inventory.get(hostId))?.hostname
  return hostname ?? (await joining.machines.get(hostId))?.value.nodename ?? hostId
}
