import {problem} from '../errors/index.js'
import {WireReader, WireWriter} from '../sshcert/index.js'
import {readAddress, type Transport} from './transport.js'

/** The channel type on which a root's proxy asks a leaf's for the way to a host. */
export const foreignChannel = 'dial@sallyport'

/** Who wants to go where. The root has seen that the user holds the key of the certificate. */
export interface ForeignDial extends Transport {
  certificate: Buffer
  /** Absent where only the host sees it. */
  login?: string
  host: string
  /** 0: whichever the host has. */
  port: number
}

/** The channel request by which a leaf says why it ends the way: string reason. */
export const foreignEndRequest = 'end@sallyport'

/** What the leaf's roles demand of a connection that ends at the root: nobody else can see to it. */
export interface ForeignTerms {
  /** Sessions at a time; 0 is no limit. */
  maxSessions: number
  /** Seconds; 0 is never. */
  idleTimeoutSeconds: number
}

const maxCertificateBytes = 64 * 1024
const maxNameBytes = 255

/** `string certificate, string login, string host, uint32 port`, then as for a transport; an empty login is none. */
export const writeForeignDial = (dial: ForeignDial): Buffer =>
  new WireWriter()
    .string(dial.certificate)
    .string(dial.login ?? '')
    .string(dial.host)
    .u32(dial.port)
    .string(dial.remoteAddress)
    .string(dial.localAddress)
    .finish()

/** @throws protocol_error */
export function readForeignDial(data: Buffer): ForeignDial {
  const reader = new WireReader(data)
  const name = (): string => {
    const text = reader.text()
    if (text.length <= maxNameBytes) return text
    throw problem('protocol_error', 'a name in a tunnel is too long')
  }
  const certificate = Buffer.from(reader.string())
  if (certificate.length > maxCertificateBytes)
    throw problem('protocol_error', 'a certificate in a tunnel is too long')
  const login = name()
  const rest = {host: name(), port: reader.u32()}
  const transport = {remoteAddress: readAddress(reader), localAddress: readAddress(reader)}
  reader.end()
  return {certificate, ...(login !== '' && {login}), ...rest, ...transport}
}

/** Data of the confirmation of the channel: `uint32 sessions, uint32 idle seconds`. */
export const writeForeignTerms = ({maxSessions, idleTimeoutSeconds}: ForeignTerms): Buffer =>
  new WireWriter().u32(maxSessions).u32(idleTimeoutSeconds).finish()

/** What follows is for later. @throws protocol_error where there are no terms: they could not be kept */
export function readForeignTerms(data: Buffer): ForeignTerms {
  const reader = new WireReader(data)
  return {maxSessions: reader.u32(), idleTimeoutSeconds: reader.u32()}
}
