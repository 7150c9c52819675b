import {join} from 'node:path'
import {openAuditLog} from '../../src/lib/audit/index.js'
import {type AuthService, createAuthService, type SecondFactor} from '../../src/lib/auth/index.js'
import {openSqliteBackend} from '../../src/lib/backend/index.js'
import {openAuthorities} from '../../src/lib/pki/index.js'
import {openRecordingStore} from '../../src/lib/recording/index.js'
import {atEnd} from './cleanup.js'
import {temporaryDirectory} from './temporary-directory.js'

export interface TestAuthOptions {
  secondFactor?: SecondFactor
  clusterName?: string
  /** Where the links point that `createUser` makes. */
  publicUrl: () => string
}

/** The real auth service on a fresh state in a temporary directory, closed when the test file ends. */
export async function startAuthService({
  secondFactor = 'off',
  clusterName = 'test',
  publicUrl,
}: TestAuthOptions): Promise<AuthService> {
  const directory = temporaryDirectory()
  const backend = await openSqliteBackend({path: join(directory, 'state.db')})
  atEnd(() => backend.close())
  const authorities = await openAuthorities({backend, clusterName})
  const audit = await openAuditLog({directory: join(directory, 'audit'), clusterName})
  atEnd(() => audit.close())
  const recordings = await openRecordingStore({
    directory: join(directory, 'recordings'),
    signHead: authorities.signRecordingHead,
  })
  const access = {clientIdleTimeoutSeconds: 0, disconnectExpiredCert: false}
  const settings = {clusterName, version: '0.0.0', secondFactor, recording: 'proxy', access} as const
  return createAuthService({settings, backend, authorities, audit, recordings, publicUrl})
}
