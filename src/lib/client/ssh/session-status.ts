import {formatAddress, isUuid} from '../../names/index.js'

/** The session that a program runs in, as a node of a cluster tells it in the environment. */
export interface SessionStatus {
  session_id: string
  /** Of the cluster. */
  user: string
  login: string
  cluster: string
  host_uuid: string
  /** `ip:port` the user came from; absent where the environment says nothing of it. */
  client?: string
}

/** Undefined outside of a session. What is shown is for people: nothing is decided by it, since anybody can set it. */
export function currentSession(
  environment: Readonly<Record<string, string | undefined>>,
): SessionStatus | undefined {
  const of = (name: string): string => (environment[name] ?? '').replace(/[^\x20-\x7e]/g, '?').slice(0, 255)
  const id = of('SSH_SESSION_ID')
  if (!isUuid(id)) return undefined
  const [address, port] = of('SSH_CONNECTION').split(' ')
  return {
    session_id: id,
    user: of('SSH_TELEPORT_USER'),
    login: of('USER'),
    cluster: of('SSH_TELEPORT_CLUSTER_NAME'),
    host_uuid: of('SSH_TELEPORT_HOST_UUID'),
    ...(address && port && {client: formatAddress({host: address, port: Number(port)})}),
  }
}

/** Lines for people, without the headline. */
export const sessionLines = ({
  session_id,
  user,
  login,
  cluster,
  host_uuid,
  client,
}: SessionStatus): string[] => [
  `  Session ID:   ${session_id}`,
  `  User:         ${user}, logged in as ${login}${client === undefined ? '' : ` from ${client}`}`,
  `  Cluster:      ${cluster}`,
  `  Host UUID:    ${host_uuid}`,
]
