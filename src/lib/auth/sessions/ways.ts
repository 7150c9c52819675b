import {isOnline} from '../../access/index.js'
import {problem} from '../../errors/index.js'
import {DAY_MS, splitAddress} from '../../names/index.js'
import type {AuthContext} from '../context.js'
import type {AuthApi, Caller} from '../contract.js'
import type {HolderWay} from './types.js'

/** A proxy says every ten minutes where it is; one that was silent for a day is not looked for there any more. */
const rememberedMilliseconds = DAY_MS

/** Where the proxies of the cluster are, for each other. */
export function proxyPlaceMethods(
  {joining, now}: Pick<AuthContext, 'joining' | 'now'>,
  caller: Caller,
): Pick<AuthApi, 'placeProxy'> {
  return {
    async placeProxy({address}) {
      if (caller.kind !== 'system' || caller.hostId === undefined)
        throw problem('access_denied', 'a proxy speaks for itself alone')
      if (!splitAddress(address)) throw problem('invalid_input', 'the place of a proxy is host:port')
      await joining.proxies.put(caller.hostId, {version: 1, address}, now() + rememberedMilliseconds)
    },
  }
}

/**
 * How the proxy that asks reaches the machine that holds a session. Undefined for its own, for machines that the cluster
 * does not know, and for everybody but proxies: only they lead anybody anywhere.
 */
export async function wayFor(
  {inventory, joining, now}: Pick<AuthContext, 'inventory' | 'joining' | 'now'>,
  caller: Caller,
  heldBy: string,
): Promise<HolderWay | undefined> {
  if (caller.kind !== 'system' || caller.role !== 'proxy' || caller.hostId === heldBy) return undefined
  const host = await inventory.get(heldBy)
  // What an administrator registered is plain sshd, which holds nothing.
  const node = host?.subKind === 'node' ? ({kind: 'node', host} as const) : undefined
  if (node && isOnline(node.host, now())) return node
  const address = (await joining.proxies.get(heldBy))?.value.address
  return address === undefined ? node : {kind: 'proxy', address}
}
