import {WireWriter} from '../sshcert/index.js'
import {message} from './messages.js'
import type {Ssh2Protocol} from './ssh2-protocol.js'

/** Signature formats we verify, told to clients that ask (RFC 8308 §3.1). ssh2's own list lacks a comma. */
const serverSigAlgs =
  'ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,rsa-sha2-512,rsa-sha2-256'

/** Sends our EXT_INFO instead of ssh2's, as the first message under the new keys (RFC 8308 §2.4). */
export function sendOwnExtInfo(protocol: Ssh2Protocol, send: (payload: Buffer) => void): void {
  const complete = protocol._onHandshakeComplete
  let first = true
  protocol._onHandshakeComplete = negotiated => {
    const wanted = first && protocol._kex?.remoteExtInfoEnabled === true
    if (protocol._kex) protocol._kex.remoteExtInfoEnabled = false
    first = false
    if (wanted) {
      const info = new WireWriter().u8(message.extInfo).u32(1)
      send(info.string('server-sig-algs').string(serverSigAlgs).finish())
    }
    complete(negotiated)
  }
}
