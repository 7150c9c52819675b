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

/** What a role may tell hosts apart by, and a person can read, is far less. */
export const maxLabels = 64
export const maxLabelName = 128
export const maxLabelValue = 512

/** Why this cannot be the name of a host's label, or undefined. `*` is one of roles alone. */
export const labelNameProblem = (name: string): string | undefined =>
  name.length <= maxLabelName && /^[A-Za-z_][A-Za-z0-9_./:-]*$/.test(name) && name !== '__proto__'
    ? undefined
    : 'a label has letters, digits and . _ / : -, and begins with a letter'

/** A UUID in the one spelling that hosts have. */
export const isHostId = (text: string): boolean =>
  /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/.test(text)

/** A node that was not heard of for its time is offline; a registered host is taken to be there. */
export const isOnline = ({expires}: Pick<HostRecord, 'expires'>, now: number): boolean =>
  expires === undefined || expires > now

/** `host:port` or `[ipv6]:port` → its parts; undefined for anything else, port 0 included. */
export function splitAddress(address: string): {host: string; port: number} | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:[\]/@]{1,253})):(\d{1,5})$/.exec(address)
  const port = Number(match?.[3])
  const host = match?.[1] ?? match?.[2]
  return host === undefined || port < 1 || port > 65_535 ? undefined : {host, port}
}

/** `host:port`, with brackets around an IPv6 literal. The reverse of splitAddress. */
export const formatHostPort = (host: string, port: number | string): string =>
  host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`

/** The host of what is known to be `host:port` or `[ipv6]:port`; an address without a port stays as it is. */
export const hostOfAddress = (address: string): string =>
  address.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1')

/** Every name by which a lock on a host can mean this one. */
export function namesOf({id, hostname, names = [], address}: HostRecord): string[] {
  const host = address === undefined ? undefined : splitAddress(address)?.host
  return [id, hostname, ...names, ...(host === undefined ? [] : [host])]
}
