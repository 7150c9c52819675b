import type {Duplex} from 'node:stream'
import type {AuditInput} from '../audit/event.js'
import type {AuthApi} from '../auth/contract.js'
import {isAway} from '../errors/index.js'
import type {Address} from '../names/index.js'
import type {ConnectionGuard, Log, ServedClient} from '../session/index.js'
import type {AlgorithmChoice} from '../ssh/index.js'
import {parseAuthorizedKey} from '../sshcert/index.js'
import {startTunnels, type Tunnels} from '../tunnel/index.js'
import type {DialSettings} from './dial.js'
import type {HostCertificates} from './host-certificates.js'
import type {NamedHosts} from './named-hosts.js'
import {keepRoots} from './roots.js'

export interface ProxyTunnelsOptions {
  /** Where nodes and leaves open their tunnels. Port 0 picks a free one. */
  listen: Address
  names: readonly string[]
  clusterName: string
  proxyId: string
  auth: Pick<
    AuthApi,
    'trustedAuthorities' | 'listRemoteClusters' | 'watchTrustedClusters' | 'admitForeign' | 'emit'
  >
  /** Connects to the auth service's TLS port, as somebody at this `ip:port`. */
  dialAuth(address: string): Promise<Duplex>
  certificates: HostCertificates
  guard: ConnectionGuard
  running: Set<ServedClient>
  draining(): boolean
  checkHostKeys: boolean
  dial: DialSettings
  named: NamedHosts
  report(input: AuditInput): void
  maxConnections: number
  algorithms?: AlgorithmChoice
  log: Log
  now: () => number
}

/** The tunnels that end at this proxy, and those that it keeps itself, to the roots of its cluster. */
export async function startProxyTunnels(options: ProxyTunnelsOptions): Promise<Tunnels> {
  const {auth, certificates, clusterName, now} = options
  const tunnels = await startTunnels({
    listen: options.listen,
    hostIdentity: () => certificates.for([...options.names, clusterName]),
    async trust() {
      const [{host}, leaves] = await Promise.all([
        auth.trustedAuthorities(),
        auth.listRemoteClusters().catch(noLeaves),
      ])
      const blobs = (lines: readonly string[]) => lines.map(line => parseAuthorizedKey(line).blob)
      return {
        ...{clusterName, hostAuthorities: host, now: now()},
        leaves: new Map(leaves.map(({name, hostAuthorities}) => [name, blobs(hostAuthorities)])),
      }
    },
    dialAuth: options.dialAuth,
    onRefused: ({username, error, remoteAddress}) =>
      options.report({
        ...{event: 'auth', success: false, error: error.message, proto: 'ssh'},
        ...{'addr.remote': remoteAddress, fields: {tunnel: username.slice(0, 255)}},
      }),
    maxConnections: options.maxConnections,
    ...(options.algorithms && {algorithms: options.algorithms}),
    log: options.log,
  })
  const roots = keepRoots({
    ...{auth, clusterName, now},
    proxyId: options.proxyId,
    hostIdentity: () => certificates.for([clusterName]),
    dial: options.dial,
    named: options.named,
    guard: options.guard,
    running: options.running,
    draining: options.draining,
    checkHostKeys: options.checkHostKeys,
    log: options.log,
  })
  return {
    ...tunnels,
    async close() {
      await roots.close()
      await tunnels.close()
    },
  }
}

/** While the auth service is away nodes are let in by what is known of their authority, and other clusters are not. */
function noLeaves(error: unknown): [] {
  if (isAway(error)) return []
  throw error
}
