import {parseProblemLine, problem, type SallyportError} from '../../errors/index.js'
import {
  type Channel,
  ChannelRefused,
  connect,
  type PresentedHostKey,
  type Question,
  type SshConnection,
} from '../../ssh/index.js'
import {checkCertificate, hostCertificateAlgorithms, plainHostKeyAlgorithms} from '../../sshcert/index.js'
import type {Identity} from '../identity/identity.js'
import {listClusters} from '../resources/clusters.js'
import {connectToProxy, openProxySubsystem} from './proxy-connection.js'

const handshakeMilliseconds = 60_000
const maxExplanationBytes = 8 * 1024

export interface TargetOptions {
  identity: Identity
  host: string
  /** Other names that the host may prove itself by. */
  otherNames?: readonly string[]
  port?: number | undefined
  login: string
  cluster?: string | undefined
  /** Accept a host key that nobody vouches for. */
  insecure: boolean
  /** Asks the person at the terminal what the host wants to know; without it, such hosts refuse. */
  answer?: (question: Question) => Promise<string>
}

export interface TargetConnection {
  connection: SshConnection
  close(): void
}

/**
 * An SSH connection to a host through the proxy. In recording mode it ends at the proxy, which presents a certificate
 * for the host; otherwise at the host itself.
 * @throws host_unreachable, host_key_refused, access_denied, …: in the proxy's own words where it gave some
 */
export async function connectToTarget(options: TargetOptions): Promise<TargetConnection> {
  const {identity, login} = options
  const proxy = await connectToProxy(identity)
  let explanation: ReturnType<typeof gatherExplanation> | undefined
  try {
    const authorities = await hostAuthorities(proxy, options)
    const channel = await openProxySubsystem(proxy, options)
    explanation = gatherExplanation(channel)
    const connection = await connect({
      stream: channel,
      username: login,
      credentials: async () => [{blob: identity.certificate, signer: identity.signer}],
      ...(options.answer && {answer: options.answer}),
      hostKeyAlgorithms: [...hostCertificateAlgorithms, ...plainHostKeyAlgorithms],
      verifyHostKey: async key => verifyTarget(key, authorities, options),
      timeoutMilliseconds: handshakeMilliseconds,
    })
    return {connection, close: () => proxy.disconnect()}
  } catch (error) {
    proxy.disconnect()
    throw explanation?.() ?? error
  }
}

/**
 * Who vouches for the host: its own cluster where the connection ends at the host, and where it ends at the recording
 * proxy, the proxy's.
 */
async function hostAuthorities(
  proxy: SshConnection,
  {identity, cluster}: TargetOptions,
): Promise<readonly Buffer[]> {
  if (cluster === undefined || cluster === identity.profile.cluster) return identity.hostAuthorities
  const found = (await listClusters(proxy)).find(({name}) => name === cluster)
  if (found) return [...identity.hostAuthorities, ...found.hostAuthorities]
  throw problem('host_not_found', `the cluster ${cluster} is not known here`, {
    hint: '`sallyport clusters` shows those that are',
  })
}

/** What the proxy writes to stderr before the connection ends, as the error it is. */
export function gatherExplanation(channel: Channel): () => SallyportError | undefined {
  let text = ''
  channel.stderr.on('data', (chunk: Buffer) => {
    if (text.length < maxExplanationBytes) text += chunk.toString('utf8')
  })
  return () => {
    const line = /^sallyport: (.*?)\s*$/m.exec(text)?.[1]
    return line === undefined ? undefined : parseProblemLine(line, 'proxy_refused')
  }
}

function verifyTarget(
  {certificate}: PresentedHostKey,
  authorities: readonly Buffer[],
  {host, otherNames = [], insecure}: TargetOptions,
): void {
  if (insecure) return
  if (!certificate) {
    throw problem('host_key_refused', `${host} presented a public key, expected a host certificate`, {
      hint: `sign one with \`sallyport auth sign --host=${host} --format=openssh\`, or add --insecure`,
    })
  }
  const principal = [host, ...otherNames].find(name => certificate.principals.includes(name)) ?? host
  checkCertificate(certificate, {kind: 'host', authorities, principal, now: Date.now()})
}

/** The error behind a refused channel: the proxy's own where it gave one. */
export const refusalOf = (error: unknown): unknown =>
  error instanceof ChannelRefused
    ? parseProblemLine(error.description || error.message, 'proxy_refused')
    : error
