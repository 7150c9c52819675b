import {hostname, networkInterfaces} from 'node:os'
import type {Config} from '../config/index.js'
import {writeFileAtomic} from '../durable/index.js'
import {type Address, formatAddress} from '../names/index.js'
import {addressesFile} from './data-dir.js'
import {isWildcard} from './listening.js'

/** Where a running service can be reached: printed at start, and kept in `<data-dir>/addresses.json`. */
export interface Addresses {
  pid: number
  cluster: string
  /** Administration through a Unix socket; other machines on a port. */
  auth?: Address & {socket: string}
  ssh?: Address
  /** Of nodes behind NAT, and of other clusters. */
  tunnel?: Address
  /** SSH of the node on this machine. */
  node?: Address
  web?: Address & {url: string}
  diagnostics?: Address
}

/** For programs and scripts that started with port 0. */
export const writeAddresses = (dataDir: string, addresses: Addresses): Promise<void> =>
  writeFileAtomic(addressesFile(dataDir), `${JSON.stringify(addresses, undefined, 2)}\n`)

/** One line per service, for people. */
export const addressLines = ({auth, ssh, tunnel, node, web, cluster, diagnostics}: Addresses): string[] => [
  ...(auth
    ? [
        `auth   cluster ${cluster}, administration on ${auth.socket}`,
        `auth   other machines on ${formatAddress(auth)}`,
      ]
    : []),
  ...(ssh ? [`proxy  SSH on ${formatAddress(ssh)}`] : []),
  ...(tunnel ? [`proxy  tunnels on ${formatAddress(tunnel)}`] : []),
  ...(node ? [`node   SSH on ${formatAddress(node)}`] : []),
  ...(web ? [`web    ${web.url} (${formatAddress(web)})`] : []),
  ...(diagnostics ? [`diag   http://${formatAddress(diagnostics)}/readyz`] : []),
]

/** `https://host:port` as users reach the web port; port 0 stands for the port that is listened on. */
export function publicWebUrl({proxy}: Config): string | undefined {
  const [address] = proxy.publicAddresses
  return address && `https://${formatAddress(address)}`
}

/** `host[:port]` as users reach the SSH port, where that is known to differ from the address listened on. */
export function publicSshAddress({proxy}: Config): string | undefined {
  const [named] = proxy.sshPublicAddresses
  const [web] = proxy.publicAddresses
  const host = named?.host ?? web?.host
  const port = named?.port || proxy.listen.port
  if (host === undefined) return undefined
  return port === 0 ? formatAddress({host, port}).replace(/:0$/, '') : formatAddress({host, port})
}

/** `host:port` by which other machines reach a port of this one: as told, where it listens, or its first address. */
export function machineAddress(advertised: string | undefined, {host, port}: Address): string {
  const own = Object.values(networkInterfaces())
    .flatMap(list => list ?? [])
    .find(({internal, address}) => !internal && !address.startsWith('fe80:'))
  const reached = isWildcard(host) ? (own?.address ?? '127.0.0.1') : host
  return formatAddress({host: advertised ?? reached, port})
}

/** Every name and address this machine answers to as the proxy: principals of its host certificate. */
export function proxyNames(config: Config, clusterName: string): string[] {
  const {proxy, nodename, advertiseIp} = config
  const addresses = Object.values(networkInterfaces()).flatMap(list => list?.map(item => item.address) ?? [])
  const listening = isWildcard(proxy.listen.host) ? addresses : [proxy.listen.host]
  const names = [
    nodename,
    `${nodename}.${clusterName}`,
    hostname(),
    'localhost',
    '127.0.0.1',
    '::1',
    ...(advertiseIp === undefined ? [] : [advertiseIp]),
    ...[...proxy.publicAddresses, ...proxy.sshPublicAddresses].map(address => address.host),
    ...listening,
  ]
  return [...new Set(names)]
}
