import type {AnonymousApi, Caller, SystemApi} from '../auth/index.js'
import type {Config} from '../config/index.js'
import type {ServeApi} from '../proxy/index.js'
import type {AuthRoom} from './auth.js'
import type {Part} from './part.js'

/** What the cluster's configuration says that its roles have to know. */
export interface ClusterFacts {
  clusterName: string
  recording: Config['auth']['sessionRecording']
  /** Whether a target must present a host certificate. */
  checkHostKeys: boolean
  keepAliveMilliseconds: number
}

/** How the proxy and the node reach the auth service: in this process, or on another machine. */
export interface AuthLink {
  cluster: ClusterFacts
  /** As this role of this machine. */
  as(role: 'proxy' | 'node'): SystemApi
  /** For the web: as somebody without a name. */
  web: {as(caller: Caller & {kind: 'anonymous'}): AnonymousApi}
  serveApi: ServeApi
  /** Tells an auth service elsewhere where users reach the web port of this proxy. */
  announce?(webUrl: string): void
}

/** The auth service in this process. */
export const localLink = ({config, hostId}: Part, auth: AuthRoom): AuthLink => ({
  cluster: {
    clusterName: config.auth.clusterName,
    recording: config.auth.sessionRecording,
    checkHostKeys: config.auth.proxyChecksHostKeys,
    keepAliveMilliseconds: config.auth.keepAliveIntervalMs,
  },
  as: role => auth.service.as({kind: 'system', role, hostId}),
  web: auth.service,
  serveApi: auth.serve,
})
