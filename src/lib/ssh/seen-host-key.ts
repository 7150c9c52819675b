import {problem, type SallyportError} from '../errors/index.js'
import {WireReader} from '../sshcert/index.js'
import {message} from './messages.js'

/** SSH_MSG_DISCONNECT, IGNORE, UNIMPLEMENTED, DEBUG: at any time (RFC 4253 §11). */
const lastGeneric = 4
/** SSH_MSG_KEX_ECDH_REPLY (RFC 5656 §4) and SSH_MSG_KEXDH_REPLY (RFC 4253 §8), or SSH_MSG_KEX_DH_GEX_GROUP. */
const reply = 31
/** SSH_MSG_KEX_DH_GEX_REPLY (RFC 4419 §5). */
const groupReply = 33
/** RFC 4253 §6.1, and what RSA certificates of many principals take. */
const maxPacket = 35_000
/** RFC 4253 §4.2: with CR LF. */
const maxIdentification = 255
/** A server that says much before its key is not one that speaks SSH. */
const maxBytes = 128 * 1024

/** Reads along while others make a key exchange. */
export interface HostKeyReader {
  /**
   * To be shown all that the server sends, in order, until it has said true: then the key was seen and accepted.
   * @throws what `judge` throws; protocol_error where the bytes are no key exchange
   */
  read(chunk: Buffer): boolean
}

/**
 * Sees which host key a server presents on a connection that somebody else makes and nobody else can read: in the first
 * key exchange it is sent in the clear (RFC 4253 §8). Whoever logs in there has verified the signature by that key over
 * the exchange, or gives that up; whoever passes the bytes on knows which server it is that answers.
 * @param judge is shown the public blob; throws to refuse it
 */
export function readHostKey(judge: (blob: Buffer) => void): HostKeyReader {
  let waiting = Buffer.alloc(0)
  let seen = 0
  let identified = false
  let accepted = false

  const identify = (): void => {
    const end = waiting.indexOf(10)
    if (end === -1 && waiting.length <= maxIdentification) return
    const line = waiting.subarray(0, end).toString('latin1')
    if (end === -1 || end > maxIdentification || !line.startsWith('SSH-2.0-')) throw noExchange()
    waiting = waiting.subarray(end + 1)
    identified = true
  }
  const nextPayload = (): Buffer | undefined => {
    if (waiting.length < 5) return undefined
    const [length, padding] = [waiting.readUInt32BE(0), waiting.readUInt8(4)]
    if (length > maxPacket || length < padding + 2) throw noExchange()
    if (waiting.length < 4 + length) return undefined
    const payload = waiting.subarray(5, 4 + length - padding)
    waiting = waiting.subarray(4 + length)
    return payload
  }
  const take = (payload: Buffer): void => {
    const type = payload[0] ?? 0
    if ((type >= message.disconnect && type <= lastGeneric) || type === message.kexInit) return
    const fields = type === reply || type === groupReply ? stringsOf(payload.subarray(1)) : []
    // Prime and generator: the key comes with the next one.
    if (type === reply && fields.length === 2) return
    const [key] = fields
    if (!key) throw noExchange()
    judge(Buffer.from(key))
    accepted = true
  }
  return {
    read(chunk) {
      if (accepted) return true
      seen += chunk.length
      if (seen > maxBytes) throw noExchange()
      waiting = Buffer.concat([waiting, chunk])
      if (!identified) identify()
      while (identified && !accepted) {
        const payload = nextPayload()
        if (!payload) break
        take(payload)
      }
      return accepted
    },
  }
}

/** Strings and multiple precision integers look alike (RFC 4251 §5). @throws protocol_error */
function stringsOf(data: Buffer): Buffer[] {
  const reader = new WireReader(data)
  const strings: Buffer[] = []
  while (reader.remaining() > 0) strings.push(reader.string())
  return strings
}

const noExchange = (): SallyportError =>
  problem('protocol_error', 'what answers begins no key exchange of SSH')
