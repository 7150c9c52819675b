import type {Duplex} from 'node:stream'
import {problem} from '../errors/index.js'
import {type ChannelOpen, openFailure} from '../ssh/index.js'
import {WireReader, WireWriter} from '../sshcert/index.js'

/** A tunnel that nobody uses is still looked at this often: NAT forgets a silent connection within minutes. */
export const keepAliveMilliseconds = 30_000

/** The channel type on which a proxy hands a connection through a tunnel. */
export const transportChannel = 'transport@sallyport'

/** What a proxy says about the connection that it hands through. */
export interface Transport {
  /**
   * `ip:port` of the client at the proxy, and of the proxy as the client reached it: for records, and for what a certificate
   * says about the address, since the keeper of the tunnel has seen that a proxy of its cluster is at the other end.
   */
  remoteAddress: string
  localAddress: string
}

const maxAddressBytes = 128

/** An address as a proxy passes it on; anything else in its place could come to stand in records. @throws protocol_error */
export function readAddress(reader: WireReader): string {
  const text = reader.text()
  if (/^[0-9A-Za-z.:[\]]*$/.test(text) && text.length <= maxAddressBytes) return text
  throw problem('protocol_error', 'an address in a tunnel is not one')
}

/** `string remote address, string local address` (RFC 4251 §5). */
export const writeTransport = ({remoteAddress, localAddress}: Transport): Buffer =>
  new WireWriter().string(remoteAddress).string(localAddress).finish()

/** @throws protocol_error */
export function readTransport(data: Buffer): Transport {
  const reader = new WireReader(data)
  const transport = {remoteAddress: readAddress(reader), localAddress: readAddress(reader)}
  reader.end()
  return transport
}

/** The node's end: each channel is a connection to its SSH server. @throws protocol_error */
export function acceptTransport(
  open: ChannelOpen,
  serve: (stream: Duplex, transport: Transport) => void,
): void {
  if (open.type !== transportChannel)
    return open.reject(openFailure.unknownChannelType, 'this tunnel carries connections to one node')
  const transport = readTransport(open.data)
  const stream = open.accept()
  stream.stderr.resume()
  serve(stream, transport)
}
