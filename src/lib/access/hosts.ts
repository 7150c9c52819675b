import {splitAddress} from '../names/index.js'

/** A host of the cluster's inventory: what routing finds, labels are matched against, and `ls` shows. */
export interface HostRecord {
  /** UUID; chosen by a node once and for ever, by the cluster for a registered host. */
  id: string
  /** `node`: ours, tells by itself that it is there. `openssh`: plain sshd that an administrator registered. */
  subKind: 'node' | 'openssh'
  /** Canonical: lower-case, no trailing dot. */
  hostname: string
  /** More names and addresses that users ask for it by; of registered hosts. */
  names?: readonly string[]
  /** `host:port` where its SSH server answers; absent where only its tunnel leads there. */
  address?: string
  /** Static labels and the latest values of command labels. */
  labels: Record<string, string>
  /** The node keeps a reverse tunnel to the proxies open. */
  tunnel?: boolean
  version?: string
  /** Unix ms at which the cluster last heard of it; registered hosts say nothing. */
  lastSeen?: number
  /** Unix ms after which a node that is silent counts as offline. */
  expires?: number
  /** Unix ms at which an administrator registered it, or changed what is registered. */
  registered?: number
}

/** A node that was not heard of for its time is offline; a registered host is taken to be there. */
export const isOnline = ({expires}: Pick<HostRecord, 'expires'>, now: number): boolean =>
  expires === undefined || expires > now

/** Every name by which a lock on a host can mean this one. */
export function namesOf({id, hostname, names = [], address}: HostRecord): string[] {
  const host = address === undefined ? undefined : splitAddress(address)?.host
  return [id, hostname, ...names, ...(host === undefined ? [] : [host])]
}
