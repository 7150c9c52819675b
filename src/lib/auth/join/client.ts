import {generateKeyPairSync, X509Certificate} from 'node:crypto'
import {problem} from '../../errors/index.js'
import type {Address} from '../../names/index.js'
import {authorityPin, pinnedAuthority, readTlsHost} from '../../pki/index.js'
import {createClusterClient} from '../cluster/client.js'
import {shownCertificates} from '../cluster/connection.js'
import type {HostCertificates, JoinRequest} from '../contract.js'
import type {SystemApi} from '../system-api.js'

/** An auth service that is known by its pins alone. */
export interface PinnedServer {
  server: Address
  /** As `parsePins` gives them. */
  pins: readonly string[]
  /** Believe whatever answers, where no pin is given. */
  insecure: boolean
  /** Unix ms. */
  now: () => number
}

export interface JoinOptions extends PinnedServer {
  request: JoinRequest
}

/** The key of a machine, PKCS#8 in PEM, and the public half as `join` takes it. */
export function createMachineKey(): {key: string; publicKey: string} {
  const {privateKey, publicKey} = generateKeyPairSync('ec', {namedCurve: 'prime256v1'})
  return {
    key: privateKey.export({type: 'pkcs8', format: 'pem'}).toString(),
    publicKey: publicKey.export({type: 'spki', format: 'pem'}).toString(),
  }
}

/**
 * Joins the cluster.
 * @throws tls_untrusted, unavailable, token_invalid, access_denied, rate_limited, invalid_input
 */
export const joinCluster = ({request, ...server}: JoinOptions): Promise<HostCertificates> =>
  askPinned(server, async api => {
    const answer = await api.join(request)
    checkAnswer(answer, request)
    return answer
  })

/**
 * Asks something of an auth service as nobody. What is asked goes to nobody but a server whose certificate is signed by
 * the authority that a pin names: its certificates are looked at first, on a connection on which nothing is sent, and
 * then TLS is spoken with that authority as the only one that is believed.
 * @throws tls_untrusted, unavailable, and what the service answers
 */
export async function askPinned<Answer>(
  options: PinnedServer,
  ask: (api: SystemApi) => Promise<Answer>,
): Promise<Answer> {
  const authority = await trustedAuthority(options)
  const authorities = [new X509Certificate(authority).toString()]
  const {server, now} = options
  const client = createClusterClient({servers: [server], credentials: () => ({authorities}), now})
  try {
    return await ask(client.api)
  } finally {
    client.close()
  }
}

async function trustedAuthority({server, pins, insecure}: PinnedServer): Promise<Buffer> {
  const where = `${server.host}:${server.port}`
  if (pins.length === 0 && !insecure)
    throw problem('tls_untrusted', 'without a pin nobody can tell whether this is the auth service', {
      hint: 'give the pin with --ca-pin, as `sallyport nodes add` prints it, or --insecure to believe any',
    })
  const chain = await shownCertificates(server)
  const shown = chain.slice(1).map(authorityPin)
  const found = pinnedAuthority(chain, pins.length === 0 ? shown : pins)
  if (found) return found
  throw problem(
    'tls_untrusted',
    `the auth service at ${where} is not the one that the pin names: nothing was sent to it`,
    {hint: 'check --ca-pin and --auth-server against what `sallyport nodes add` prints'},
  )
}

/** A machine that starts with somebody else's certificate would only find out much later. */
function checkAnswer({certificates, authorities}: HostCertificates, {hostId, roles}: JoinRequest): void {
  const hosts = certificates.map(({certificate}) => readTlsHost(new X509Certificate(certificate)))
  const complete = roles.every(role => hosts.some(host => host.role === role && host.hostId === hostId))
  if (!complete || authorities.length === 0)
    throw problem('protocol_error', 'the auth service gave this machine other certificates than it asked for')
}
