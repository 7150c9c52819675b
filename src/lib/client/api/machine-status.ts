import {once} from 'node:events'
import {connect} from 'node:net'
import {join} from 'node:path'
import {z} from 'zod'
import {findDataDir} from '../../config/index.js'
import {problem, SallyportError} from '../../errors/index.js'
import {formatRemaining} from '../login/status.js'
import {withAdminApi} from './auth-access.js'

// What an administrator of a machine sees of the service on it: the cluster on the auth host, and on a machine apart how its
// roles fare.

type Flags = {config?: string | undefined; 'data-dir'?: string | undefined}

/** The names are those that scripts read. */
export interface ClusterStatus {
  name: string
  version: string
  session_recording: string
  /** As --ca-pin takes them: two while the authority is rotated. */
  ca_pins: string[]
  /** Fingerprints of their keys. */
  user_ca: string[]
  host_ca: string[]
}

/**
 * The cluster whose auth service runs here; null where none does, and where it is somebody else's.
 * @throws service_not_running, access_denied, config_invalid where the flags name one
 */
export async function clusterStatus(flags: Flags): Promise<ClusterStatus | null> {
  try {
    return await withAdminApi(flags, async api => {
      const [{clusterName, version, recording}, pem, authorities] = await Promise.all([
        api.ping(),
        api.exportAuthorities({type: 'tls-host'}),
        api.listAuthorities(),
      ])
      const {authorityPins} = await import('../../auth/join/authority-pins.js')
      const keys = (type: string): string[] =>
        authorities.filter(one => one.type === type).map(({fingerprint}) => fingerprint)
      return {
        ...{name: clusterName, version, session_recording: recording, ca_pins: authorityPins(pem)},
        ...{user_ca: keys('user'), host_ca: keys('host')},
      }
    })
  } catch (error) {
    if (!isNothing(error, flags)) throw error
    return null
  }
}

export const clusterLines = (status: ClusterStatus): string[] => [
  `  Name:         ${status.name}`,
  `  Version:      ${status.version}`,
  `  Recording:    ${status.session_recording}`,
  ...status.user_ca.map(key => `  User CA:      ${key}`),
  ...status.host_ca.map(key => `  Host CA:      ${key}`),
  ...status.ca_pins.map(pin => `  CA pin:       ${pin}`),
]

const count = z.number().nonnegative()
const roleSchema = z.looseObject({
  role: z.enum(['proxy', 'node']),
  auth: z.enum(['in touch', 'away', 'refused']),
  known_seconds: count,
  reason: z.string().max(4096).optional(),
  outbox: z.looseObject({
    ...{events: count, recordings: count, bytes: count, cap_bytes: count},
    oldest: z.string().max(64).optional(),
  }),
})
const machineSchema = z.looseObject({status: z.enum(['ok', 'not ready']), roles: z.array(roleSchema).max(8)})

/** How the proxy or node of this machine fares whose auth service is elsewhere; as `/readyz` has it. */
export type MachineStatus = z.output<typeof machineSchema>

const answerMilliseconds = 5000
const maxAnswerBytes = 64 * 1024

/** Null where no such service runs, and where it is somebody else's. @throws config_invalid where the flags name one */
export async function machineStatus(flags: Flags): Promise<MachineStatus | null> {
  try {
    const dataDir = await findDataDir({config: flags.config, dataDir: flags['data-dir']})
    const text = await answerOf(join(dataDir, 'service.sock'))
    return text === undefined ? null : machineSchema.parse(JSON.parse(text))
  } catch (error) {
    if (error instanceof SallyportError) {
      if (isNothing(error, flags)) return null
      throw error
    }
    throw problem(
      'protocol_error',
      'the service on this machine answers with something that is not its protocol',
      {
        hint: 'it may be of another version: restart it',
        cause: error,
      },
    )
  }
}

/** All that is said on a socket; undefined where nobody listens, or it is not ours to open. */
async function answerOf(path: string): Promise<string | undefined> {
  const socket = connect(path)
  const timer = setTimeout(() => socket.destroy(new Error('it says nothing')), answerMilliseconds)
  try {
    await once(socket, 'connect')
  } catch {
    // ENOENT, ECONNREFUSED, EACCES: there is nothing to see for whoever asks.
    clearTimeout(timer)
    return undefined
  }
  try {
    let text = ''
    for await (const chunk of socket.setEncoding('utf8')) {
      text += chunk
      if (text.length > maxAnswerBytes) throw new Error('it says too much')
    }
    return text
  } finally {
    clearTimeout(timer)
    socket.destroy()
  }
}

export const machineLines = ({roles}: MachineStatus): string[] =>
  roles.flatMap(({role, auth, known_seconds: known, reason, outbox}) => {
    const {events, recordings, bytes, cap_bytes: cap, oldest} = outbox
    const since = oldest === undefined ? '' : `, since ${oldest}`
    return [
      `  Role:         ${role}`,
      `  Auth service: ${auth}`,
      ...(known > 0 ? [`  Decides by:   what it knew ${formatRemaining(known * 1000)} ago`] : []),
      ...(reason === undefined ? [] : [`  No sessions:  ${reason}`]),
      `  Waiting:      ${events} events, ${recordings} recordings, ${bytes} of ${cap} bytes${since}`,
    ]
  })

/** Nothing is wrong with asking a machine on which there is no service, or somebody else's; unless one was named. */
const isNothing = (error: unknown, flags: Flags): boolean =>
  flags.config === undefined &&
  flags['data-dir'] === undefined &&
  error instanceof SallyportError &&
  ['service_not_running', 'access_denied', 'config_invalid'].includes(error.code)
