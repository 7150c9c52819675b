import {X509Certificate} from 'node:crypto'
import {type ClusterClient, createClusterClient} from '../../../../src/lib/auth/cluster/client.js'
import type {Credentials} from '../../../../src/lib/auth/cluster/connection.js'
import {type ClusterServer, startClusterServer} from '../../../../src/lib/auth/cluster/server.js'
import {createApiServer} from '../../../../src/lib/auth/index.js'
import {createMachineKey} from '../../../../src/lib/auth/join/client.js'
import {userOfCertificate} from '../../../../src/lib/auth/users/user-certificate.js'
import type {TlsHostRole} from '../../../../src/lib/pki/index.js'
import {atEnd} from '../../../support/cleanup.js'
import type {Auth} from '../fixture.js'

export const hostId = '6f4c1a56-1f0e-4a8e-9a35-0d9c1c0d7c11'
export const otherId = '7f4c1a56-1f0e-4a8e-9a35-0d9c1c0d7c11'
const day = 24 * 3_600_000

/** A certificate of a role on a machine, as joining gives it. */
export async function credentialsOf(
  auth: Auth,
  role: TlsHostRole,
  {machine = hostId, lifetimeMs = day} = {},
): Promise<Required<Credentials>> {
  const {key, publicKey} = createMachineKey()
  const {createPublicKey} = await import('node:crypto')
  const certificate = await auth.authorities.issueTlsHost({
    ...{role, hostId: machine, lifetimeMs},
    publicKey: createPublicKey(publicKey),
  })
  return {
    own: {key, certificate},
    authorities: auth.authorities.tlsHostAuthorities(),
    clusterName: 'acme.example',
  }
}

export interface ClusterOfOne {
  auth: Auth
  server: ClusterServer
  log: object[]
  /** As this role; as nobody without one. */
  client(role?: TlsHostRole, options?: {machine?: string; lifetimeMs?: number}): Promise<ClusterClient>
  connect(credentials: Credentials): ClusterClient
}

/** A real auth service that other machines reach on a port. */
export async function serveCluster(auth: Auth, port = 0): Promise<ClusterOfOne> {
  const now = (): number => auth.clock.now
  const log: object[] = []
  const note = (fields: object): void => void log.push(fields)
  const api = createApiServer(auth.service, {error: note})
  const {own, authorities} = await credentialsOf(auth, 'auth', {lifetimeMs: 3650 * day})
  const server = await startClusterServer({
    ...{listen: {host: '127.0.0.1', port}, service: auth.service, clusterName: 'acme.example', now},
    tls: {...own, authorities},
    ...{serveUser: api.attach, carried: auth.carried},
    userOf: (certificate, address) =>
      userOfCertificate(certificate, {authorities: auth.authorities.publicKeys('user'), address, now: now()}),
    log: {info: note, error: note},
  })
  atEnd(async () => {
    await server.close()
    api.close()
  })
  const connect = (credentials: Credentials): ClusterClient => {
    const client = createClusterClient({servers: [server.address], credentials: () => credentials, now})
    atEnd(() => client.close())
    return client
  }
  return {
    ...{auth, server, log, connect},
    client: async (role, options) =>
      connect(
        role === undefined
          ? {authorities: auth.authorities.tlsHostAuthorities()}
          : await credentialsOf(auth, role, options),
      ),
  }
}

export const rawOf = (pem: string): Buffer => new X509Certificate(pem).raw
