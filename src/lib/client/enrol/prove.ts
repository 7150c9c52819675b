import {once} from 'node:events'
import {connect as connectSocket} from 'node:net'
import {setTimeout as sleep} from 'node:timers/promises'
import {asProblem, problem} from '../../errors/index.js'
import type {Address} from '../../names/index.js'
import {connect, type PresentedHostKey} from '../../ssh/index.js'
import type {SshdSettings} from './sshd-config.js'

const handshakeMilliseconds = 5000
/** sshd starts itself anew when it is told to read its configuration. */
const patienceMilliseconds = 10_000
const pauseMilliseconds = 200

/**
 * Shakes hands with the sshd of this machine until it shows the certificate, which is how the proxy will know the host.
 * @throws host_key_refused, host_unreachable
 */
export async function proveHost(settings: SshdSettings, certificate: Buffer): Promise<void> {
  const place = listeningPlace(settings)
  const deadline = Date.now() + patienceMilliseconds
  for (;;) {
    const seen = await presented(place).catch(error => asProblem(error, 'host_unreachable'))
    if ('blob' in seen && seen.blob.equals(certificate)) return
    if (Date.now() < deadline) {
      await sleep(pauseMilliseconds)
      continue
    }
    const where = `${place.host}:${place.port}`
    if (!('blob' in seen))
      throw problem('host_unreachable', `sshd does not answer on ${where}`, {cause: seen})
    throw problem('host_key_refused', `the sshd on ${where} shows another host key than the enrolled one`, {
      hint: 'see whether another file of its configuration sets HostCertificate',
    })
  }
}

/** Where sshd can be reached from this machine. */
function listeningPlace({listening, ports}: SshdSettings): Address {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d+)$/.exec(listening[0] ?? '')
  const host = match?.[1] ?? match?.[2] ?? '0.0.0.0'
  const port = match ? Number(match[3]) : (ports[0] ?? 22)
  return {host: host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host, port}
}

/** Nobody logs in: the host key is all that is looked at. */
async function presented({host, port}: Address): Promise<PresentedHostKey> {
  const stream = connectSocket({host, port})
  await once(stream, 'connect')
  let shown: PresentedHostKey | undefined
  try {
    const connection = await connect({
      ...{stream, username: 'nobody', timeoutMilliseconds: handshakeMilliseconds},
      credentials: async () => [],
      hostKeyAlgorithms: ['ssh-ed25519-cert-v01@openssh.com'],
      verifyHostKey: async key => {
        shown = key
      },
    })
    connection.disconnect()
  } catch (error) {
    if (!shown) throw error
  } finally {
    stream.destroy()
  }
  if (shown) return shown
  throw problem('protocol_error', 'sshd showed no host key')
}
