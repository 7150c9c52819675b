import {createPublicKey} from 'node:crypto'
import {hostname} from 'node:os'
import {
  type ClusterServer,
  createMachineKey,
  startClusterServer,
  userOfCertificate,
} from '../../auth/index.js'
import {type Address, DAY_MS, formatAddress} from '../../names/index.js'
import {startAdminSocket} from '../admin-socket.js'
import {type AuthRoom, openAuth} from '../auth.js'
import {isWildcard, listening} from '../listening.js'
import type {Part} from './part.js'

/** Of the certificate that other machines are shown; a new one each day and at each start. */
const certificateMilliseconds = 30 * DAY_MS

export interface AuthPart {
  room: AuthRoom
  /** Where other machines reach it. */
  listen: Address
}

/** Starts the auth service, and lets other machines reach it. `webUrl` is asked when a link is made. */
export async function startAuthPart(part: Part, webUrl: () => string | undefined): Promise<AuthPart> {
  const {config, logger, now, version, resources} = part
  let server: ClusterServer | undefined
  const room = await openAuth({
    ...{config, logger, version, now, webUrl},
    address: () => server && reachedAt(part, server.address),
  })
  resources.add('auth', room.close)
  server = await listening(
    [
      {
        what: 'the auth service',
        address: formatAddress(config.auth.listen),
        setting: 'auth_service.listen_addr',
      },
    ],
    serveMachines(part, room),
  )
  resources.add('auth for other machines', server.close)
  return {room, listen: server.address}
}

/** Administration of this machine: to be opened when everything else is there. */
export async function startAdministration({config, resources}: Part, room: AuthRoom): Promise<string> {
  const socket = await startAdminSocket(config.dataDir, connection => room.serve(connection, {kind: 'admin'}))
  resources.add('administration socket', socket.close)
  return socket.path
}

async function serveMachines(part: Part, room: AuthRoom): Promise<ClusterServer> {
  const {config, logger, now, resources} = part
  const {authorities} = room
  const server = await startClusterServer({
    ...{listen: config.auth.listen, service: room.service, clusterName: config.auth.clusterName, now},
    tls: await ownCertificate(part, room),
    ...{serveUser: room.serve, carried: room.carried},
    userOf: (certificate, address) =>
      userOfCertificate(certificate, {authorities: authorities.publicKeys('user'), address, now: now()}),
    log: logger,
  })
  const renewal = setInterval(() => {
    ownCertificate(part, room).then(server.useCertificate, error =>
      logger.error({err: error}, 'the certificate for other machines is not renewed'),
    )
  }, DAY_MS).unref()
  resources.add('renewal of the auth certificate', () => clearInterval(renewal))
  return server
}

async function ownCertificate({hostId}: Part, {authorities}: AuthRoom) {
  const {key, publicKey} = createMachineKey()
  const certificate = await authorities.issueTlsHost({
    ...{role: 'auth', hostId, lifetimeMs: certificateMilliseconds},
    publicKey: createPublicKey(publicKey),
  })
  return {key, certificate, authorities: authorities.tlsHostAuthorities()}
}

/** `host:port` for machines that join. */
function reachedAt({config}: Part, {port}: Address): string {
  const {host} = config.auth.listen
  return formatAddress({host: config.advertiseIp ?? (isWildcard(host) ? hostname() : host), port})
}
