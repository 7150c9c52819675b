import type {AuditInput} from '../audit/event.js'
import type {AuthApi, ForeignAdmission, TrustedCluster} from '../auth/contract.js'
import {asProblem, problem, problemLine} from '../errors/index.js'
import {hostOfAddress} from '../names/index.js'
import {
  type ConnectionGuard,
  followState,
  identityOf,
  type Log,
  type ServedClient,
  shuttingDown,
} from '../session/index.js'
import {type ChannelOpen, type HostIdentity, openFailure} from '../ssh/index.js'
import {
  checkCertificate,
  isPinned,
  parseAuthorizedKey,
  parseCertificate,
  signerFromKey,
  WireWriter,
} from '../sshcert/index.js'
import {
  foreignChannel,
  foreignEndRequest,
  keepTunnel,
  readForeignDial,
  type Tunnel,
  writeForeignTerms,
} from '../tunnel/index.js'
import type {DialSettings} from './dial.js'
import type {NamedHosts} from './named-hosts.js'
import {passThrough} from './passage.js'
import {routeTarget} from './route.js'
import {namedTarget} from './target-name.js'

export interface RootsOptions {
  auth: Pick<AuthApi, 'watchTrustedClusters' | 'admitForeign' | 'trustedAuthorities' | 'emit'>
  clusterName: string
  proxyId: string
  /** A proxy's certificate for the cluster's name. */
  hostIdentity(): Promise<HostIdentity>
  dial: DialSettings
  named: NamedHosts
  guard: ConnectionGuard
  /** Everything that a proxy on its way out waits for. */
  running: Set<ServedClient>
  /** Nobody is led anywhere any more. */
  draining(): boolean
  checkHostKeys: boolean
  log: Log
  /** Unix ms. */
  now: () => number
}

/** Tunnels to the clusters whose users this one lets in, for as long as it trusts them. */
export interface Roots {
  close(): Promise<void>
}

export function keepRoots(options: RootsOptions): Roots {
  const stop = new AbortController()
  const tunnels = new Map<string, {key: string; tunnel: Tunnel}>()
  const closing = new Set<Promise<void>>()
  const close = (name: string): void => {
    const closed = tunnels.get(name)?.tunnel.close()
    tunnels.delete(name)
    if (!closed) return
    closing.add(closed)
    void closed.then(() => closing.delete(closed))
  }
  const take = (roots: readonly TrustedCluster[]): void => {
    const enabled = new Map(roots.filter(root => root.enabled).map(root => [root.name, root]))
    for (const name of tunnels.keys()) if (!enabled.has(name)) close(name)
    for (const [name, root] of enabled) {
      const key = JSON.stringify(root)
      if (tunnels.get(name)?.key === key) continue
      close(name)
      tunnels.set(name, {key, tunnel: openTunnel(options, root)})
    }
  }
  const following = followState({
    watch: options.auth.watchTrustedClusters,
    onState: take,
    // Those that were trusted stay so until something else is known; who comes through is decided anew each time.
    onBlind: error =>
      options.log.warn({error: problemLine(asProblem(error))}, 'the trusted clusters are not known'),
    signal: stop.signal,
  })
  return {
    async close() {
      stop.abort()
      await following
      for (const name of tunnels.keys()) close(name)
      await Promise.all(closing)
    },
  }
}

function openTunnel(options: RootsOptions, root: TrustedCluster): Tunnel {
  const [, host = '', port = ''] = /^\[?(.*?)\]?:(\d+)$/.exec(root.tunnelAddress) ?? []
  const hostAuthorities = root.hostAuthorities.map(line => parseAuthorizedKey(line).blob)
  return keepTunnel({
    address: {host, port: Number(port)},
    username: options.clusterName,
    async credential() {
      const {privateKey, publicBlob} = await options.hostIdentity()
      return {blob: publicBlob, signer: signerFromKey(privateKey)}
    },
    cluster: async () => ({name: root.name, hostAuthorities}),
    onChannelOpen: open => {
      if (open.type !== foreignChannel)
        return open.reject(openFailure.unknownChannelType, 'a leaf leads to its hosts and nowhere else')
      void lead(options, root, open)
    },
    log: options.log,
    now: options.now,
  })
}

/** Leads one user of the root to a host of ours, or says why not. */
async function lead(options: RootsOptions, root: TrustedCluster, open: ChannelOpen): Promise<void> {
  const facts: Partial<AuditInput> = {forwarded_by: options.proxyId, proto: 'ssh'}
  try {
    if (options.draining()) throw shuttingDown('proxy')
    await connectUser(options, root, open, facts)
  } catch (thrown) {
    const error = asProblem(thrown)
    const event = {event: 'session.connect', success: false, error: problemLine(error)} as const
    const fields = {user_cluster_name: root.name}
    await options.auth
      .emit({...facts, ...event, fields})
      .catch(lost => options.log.warn({error: problemLine(asProblem(lost))}, 'audit event lost'))
    const reason = error.code === 'host_unreachable' ? 'connectFailed' : 'administrativelyProhibited'
    open.reject(openFailure[reason], problemLine(error))
  }
}

async function connectUser(
  options: RootsOptions,
  root: TrustedCluster,
  open: ChannelOpen,
  facts: Partial<AuditInput>,
): Promise<void> {
  const {auth, now} = options
  const asked = readForeignDial(open.data)
  const certificate = parseCertificate(asked.certificate)
  const {login, remoteAddress} = asked
  Object.assign(facts, {user: certificate.keyId, 'addr.remote': remoteAddress, server_hostname: asked.host})
  checkCertificate(certificate, {
    kind: 'user',
    authorities: root.userAuthorities.map(line => parseAuthorizedKey(line).blob),
    now: now(),
    remoteAddress: hostOfAddress(remoteAddress),
    ...(login !== undefined && {principal: login}),
  })
  const identity = identityOf(certificate)
  const ask = {cluster: root.name, identity, ...(login !== undefined && {login})}
  let admission: ForeignAdmission | undefined
  const target = await routeTarget(
    {
      auth: {
        async routeHost(request) {
          admission = await auth.admitForeign({...request, ...ask})
          return admission.route
        },
      },
      ...{dial: options.dial, named: options.named},
      now,
    },
    identity,
    namedTarget(asked.host, asked.port),
  )
  if (!admission) throw problem('internal', 'a host was found without a decision')
  const {decision} = admission
  if (!decision.allowed) throw problem('access_denied', `access to ${asked.host} denied: ${decision.reason}`)
  const {identity: here} = admission
  const {options: limits} = decision
  await passThrough({
    ...{guard: options.guard, running: options.running, log: options.log, now},
    pinned: isPinned(certificate),
    ...{identity: here, target, options: limits, ...(login !== undefined && {login})},
    hostAuthorities: options.checkHostKeys ? async () => (await auth.trustedAuthorities()).host : undefined,
    fields: {user_cluster_name: root.name, session_recording: 'root'},
    emit: input => auth.emit({...facts, ...input}),
    openChannel() {
      // Others may have been led away from here while this one was dialled.
      if (options.draining()) throw shuttingDown('proxy')
      return open.accept(writeForeignTerms(limits))
    },
    farewell(channel, error) {
      const reason = new WireWriter().string(problemLine(error)).finish()
      void channel.request(foreignEndRequest, reason, false)
      channel.end(() => channel.close())
    },
  })
}
