import {join} from 'node:path'
import type {Duplex} from 'node:stream'
import type {Logger} from 'pino'
import {openAuditLog} from '../audit/index.js'
import {
  type AuthService,
  askRoot,
  type Caller,
  type Carried,
  createApiServer,
  createAuthService,
  createCarried,
  createCompletion,
  createRetention,
  createSessionHolders,
  openSignedHeads,
  type Retention,
  type SessionCompletion,
} from '../auth/index.js'
import {openSqliteBackend} from '../backend/index.js'
import type {Config} from '../config/index.js'
import {asProblem, problemLine} from '../errors/index.js'
import {formatAddress} from '../names/index.js'
import {type Authorities, openAuthorities} from '../pki/index.js'
import {openRecordingStore} from '../recording/index.js'
import {proxyNames} from './addresses.js'
import {createResources} from './resources.js'

export interface AuthRoomOptions {
  config: Config
  logger: Logger
  version: string
  /** Unix ms. */
  now: () => number
  /** Where users reach the web pages; known once they are served. */
  webUrl: () => string | undefined
  /** Where other machines reach the service; known once it listens. */
  address: () => string | undefined
}

/** The auth service with everything it stands on. */
export interface AuthRoom {
  service: AuthService
  authorities: Authorities
  /** Whose connections proxies carry to the port for other machines. */
  carried: Carried
  /** Serves its API on a connected stream to a caller whose name the stream vouches for. */
  serve(stream: Duplex, caller: Caller): void
  /** Begins, in the background, to complete what earlier processes left of their sessions, and to prune recordings. */
  completeSessions(): void
  close(): Promise<void>
}

/**
 * Opens state, audit log and recordings in the data directory, and the service over them. The state's lock comes
 * first: who does not get it touches nothing else.
 * @throws already_running, store_failed
 */
export async function openAuth(options: AuthRoomOptions): Promise<AuthRoom> {
  const {logger} = options
  const resources = createResources()
  try {
    const {service, authorities, carried, completion, retention} = await openService(options, resources.add)
    const server = createApiServer(service, logger)
    resources.add('API', server.close)
    return {
      ...{service, authorities, carried},
      serve: server.attach,
      completeSessions: () => {
        void completion
          .start()
          .catch(error => logger.error({error: problemLine(asProblem(error))}, 'sessions are not completed'))
        void retention.start()
      },
      close: () => resources.close(logger),
    }
  } catch (thrown) {
    await resources.close(logger)
    throw thrown
  }
}

async function openService(
  {config, logger, version, now, webUrl, address}: AuthRoomOptions,
  opened: (name: string, close: () => Promise<unknown>) => void,
): Promise<
  Pick<AuthRoom, 'service' | 'authorities' | 'carried'> & {
    completion: SessionCompletion
    retention: Retention
  }
> {
  const {dataDir, auth} = config
  const {clusterName} = auth
  const backend = await openSqliteBackend({path: join(dataDir, 'state.db'), now})
  opened('state', backend.close)
  const authorities = await openAuthorities({backend, clusterName, now})
  const heads = await openSignedHeads({backend, sign: authorities.signAuditStatement, log: logger})
  // Before the state and after the log.
  opened('signed heads', heads.close)
  const audit = await openAuditLog({
    directory: join(dataDir, 'audit'),
    clusterName,
    now,
    signing: heads.signing,
    onDamage: (file, offset) => logger.error({file, offset}, 'a line of the audit log is no record'),
  })
  opened('audit log', audit.close)
  const recordings = await openRecordingStore({
    directory: join(dataDir, 'recordings'),
    now,
    signHead: authorities.signRecordingHead,
    onDamage: (sid, error) => logger.error({sid, error: problemLine(asProblem(error))}, 'damaged recording'),
    indexWhenSealed: true,
    onFailed: sid => completion.recordingFailed(sid),
  })
  opened('recordings', recordings.close)
  const completion = createCompletion({
    ...{audit, recordings, now, log: logger},
    file: join(dataDir, 'sessions-completed.json'),
    isHeld: createSessionHolders(backend, now).isHeld,
  })
  opened('completion of sessions', completion.close)
  const retention = createRetention({
    ...{audit, recordings, now, log: logger},
    keepMilliseconds: auth.recordingRetentionMs,
    auditMilliseconds: auth.auditRetentionMs,
    sign: authorities.signAuditStatement,
  })
  opened('retention of recordings', retention.close)
  const carried = createCarried(now)
  const service = createAuthService({
    settings: {
      clusterName,
      version,
      secondFactor: auth.secondFactor,
      recording: auth.sessionRecording,
      routingStrategy: auth.routingStrategy,
      proxyNames: proxyNames(config, auth.clusterName),
      staticTokens: auth.staticTokens,
      forRoles: {
        checkHostKeys: auth.proxyChecksHostKeys,
        keepAliveMilliseconds: auth.keepAliveIntervalMs,
      },
      access: {
        clientIdleTimeoutSeconds: Math.ceil(auth.clientIdleTimeoutMs / 1000),
        disconnectExpiredCert: auth.disconnectExpiredCert,
        requireSessionMfa: auth.requireSessionMfa,
      },
    },
    ...{backend, authorities, recordings, carried, now},
    audit: {emit: completion.emit, query: audit.query, head: audit.head},
    publicUrl: announced => webUrl() ?? promisedUrl(config) ?? announced ?? guessedUrl(config),
    authAddress: () => address() ?? formatAddress(config.auth.listen),
    establishTrust: askRoot(now),
  })
  return {service, authorities, carried, completion, retention}
}

/** What the configuration promises users, where the web runs elsewhere. */
function promisedUrl({proxy}: Config): string | undefined {
  const [address] = proxy.publicAddresses
  return address && `https://${address.host}:${address.port || proxy.webListen.port}`
}

const guessedUrl = ({proxy, nodename}: Config): string => `https://${nodename}:${proxy.webListen.port}`
