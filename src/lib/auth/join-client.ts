import {generateKeyPairSync, X509Certificate} from 'node:crypto'
import {problem} from '../errors/index.js'
import {authorityPin, pinnedAuthority, readTlsHost} from '../pki/index.js'
import {createClusterClient} from './cluster-client.js'
import {type ServerAddress, shownCertificates} from './cluster-connection.js'
import type {HostCertificates, JoinRequest} from './contract.js'

export interface JoinOptions {
  server: ServerAddress
  /** As `parsePins` gives them. */
  pins: readonly string[]
  /** Believe whatever answers, where no pin is given. */
  insecure: boolean
  request: JoinRequest
  /** Unix ms. */
  now: () => number
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
 * Joins the cluster. The token is sent to nobody but a server whose certificate is signed by the authority that a pin
 * names: its certificates are looked at first, on a connection on which nothing is sent, and then TLS is spoken with that
 * authority as the only one that is believed.
 * @throws tls_untrusted, unavailable, token_invalid, access_denied, rate_limited, invalid_input
 */
export async function joinCluster(options: JoinOptions): Promise<HostCertificates> {
  const {server, request, now} = options
  const authority = await trustedAuthority(options)
  const authorities = [new X509Certificate(authority).toString()]
  const client = createClusterClient({servers: [server], credentials: () => ({authorities}), now})
  try {
    const answer = await client.api.join(request)
    checkAnswer(answer, request)
    return answer
  } finally {
    client.close()
  }
}

async function trustedAuthority({server, pins, insecure}: JoinOptions): Promise<Buffer> {
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
