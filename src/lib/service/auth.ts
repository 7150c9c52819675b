import {join} from 'node:path'
import type {Duplex} from 'node:stream'
import type {Logger} from 'pino'
import {openAuditLog} from '../audit/index.js'
import {type AuthService, type Caller, createApiServer, createAuthService} from '../auth/index.js'
import {openSqliteBackend} from '../backend/index.js'
import {type Config, formatAddress} from '../config/index.js'
import {openAuthorities} from '../pki/index.js'
import {openRecordingStore} from '../recording/index.js'
import {createResources} from './resources.js'

export interface AuthRoomOptions {
  config: Config
  logger: Logger
  version: string
  /** Unix ms. */
  now: () => number
  /** The web service's own address, once it listens. */
  webUrl: () => string | undefined
}

/** The auth service with everything it keeps, in this process. */
export interface AuthRoom {
  service: AuthService
  /** Serves the API to `caller` on a connected stream. */
  serve(stream: Duplex, caller: Caller): void
  close(): Promise<void>
}

/**
 * Opens state, authorities, audit log and recordings below the data directory and starts the auth service on them.
 * @throws already_running when another auth service holds the state, store_failed
 */
export async function openAuth(options: AuthRoomOptions): Promise<AuthRoom> {
  const {config, logger, version, now, webUrl} = options
  const {clusterName, secondFactor, sessionRecording} = config.auth
  const resources = createResources()
  try {
    const backend = await openSqliteBackend({path: join(config.dataDir, 'state.db'), now})
    resources.add('state', () => backend.close())
    const authorities = await openAuthorities({backend, clusterName, now})
    const audit = await openAuditLog({
      directory: join(config.dataDir, 'audit'),
      clusterName,
      now,
      onDamage: (file, offset) =>
        logger.error({file, offset}, 'the audit log holds a line that is no record'),
    })
    resources.add('audit log', () => audit.close())
    const recordings = await openRecordingStore({
      directory: join(config.dataDir, 'recordings'),
      now,
      signHead: authorities.signRecordingHead,
      onDamage: (sid, error) => logger.error({sid, err: error}, 'a recording cannot be read'),
    })
    const service = createAuthService({
      settings: {
        ...{clusterName, version, secondFactor},
        recording: sessionRecording,
        access: {
          clientIdleTimeoutSeconds: Math.ceil(config.auth.clientIdleTimeoutMs / 1000),
          disconnectExpiredCert: config.auth.disconnectExpiredCert,
        },
      },
      ...{backend, authorities, audit, recordings, now},
      publicUrl: () => webUrl() ?? `https://${formatAddress(config.proxy.webListen)}`,
    })
    const api = createApiServer(service, logger)
    resources.add('auth API', api.close)
    return {service, serve: api.attach, close: () => resources.close(logger)}
  } catch (error) {
    await resources.close(logger)
    throw error
  }
}
