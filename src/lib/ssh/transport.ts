import type {Duplex} from 'node:stream'
import {asProblem, problem, type SallyportError} from '../errors/index.js'
import {hostCertificateAlgorithms, WireReader, WireWriter} from '../sshcert/index.js'
import {type AlgorithmChoice, offer} from './algorithms.js'
import {
  type HostIdentity,
  hostKeyVerifier,
  onKeyExchange,
  type PresentedHostKey,
  serverHostKeys,
} from './host-keys.js'
import {gatherIdentification} from './identification.js'
import {disconnectReason, message} from './messages.js'
import {type Negotiated, type ProtocolOptions, type Ssh2Protocol, ssh2} from './ssh2-protocol.js'

/** OpenSSH sends eow@openssh.com, which ends `ssh host yes | head`, only to peers whose name begins like this. */
const ident = 'OpenSSH_9.9-Sallyport'

/** RFC 4253 §9 recommends new keys after a gigabyte or an hour. */
const rekeyBytes = 1024 ** 3
const rekeyMilliseconds = 3_600_000

/** Output that waits for a slow peer before channels are paused; well over what one system call takes. */
const maxUnsentBytes = 512 * 1024

/** Signature formats we verify, told to clients that ask (RFC 8308 §3.1). ssh2's own list lacks a comma. */
const serverSigAlgs =
  'ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,rsa-sha2-512,rsa-sha2-256'

export type TransportRole =
  | {kind: 'server'; hostKeys: readonly HostIdentity[]}
  | {
      kind: 'client'
      /** Host key algorithms to ask for; default: certificates only. */
      hostKeyAlgorithms?: readonly string[]
      /** Rejects to refuse the host; its error is what the connection ends with. */
      verifyHostKey(key: PresentedHostKey): Promise<void>
    }

export interface TransportOptions {
  /** Connected; owned by the transport from here on. */
  stream: Duplex
  role: TransportRole
  algorithms?: AlgorithmChoice
  /** Each message above the transport layer; the buffer is the callee's to keep. */
  onMessage(payload: Buffer): void
  /** Once, when the first key exchange is complete. */
  onReady(negotiated: Negotiated): void
  /** The stream can take more after `send` had answered false. */
  onDrain(): void
  /** Once, at the end; undefined means an orderly end. */
  onClose(error: SallyportError | undefined): void
}

/** One SSH transport (RFC 4253): encrypted messages over a stream. */
export interface Transport {
  /** Queues a message; false asks the caller to wait for `onDrain` before sending bulk data. */
  send(payload: Buffer): boolean
  /** The exchange hash of the first key exchange, to which authentication is bound. */
  sessionId(): Buffer
  remoteIdent(): string
  /** Ends the connection with a DISCONNECT; pending output is flushed. */
  disconnect(reason?: number): void
  /** Ends the connection at once with this error. */
  fail(error: SallyportError): void
}

export function createTransport(options: TransportOptions): Transport {
  const {stream, role} = options
  let ready = false
  let closed = false
  let remoteIdent = ''
  let failure: SallyportError | undefined
  let bytesSinceKeys = 0
  let corked = false
  const gather = gatherIdentification(role.kind)
  let identified = false

  const close = (error: SallyportError | undefined): void => {
    if (closed) return
    closed = true
    clearInterval(rekeyTimer)
    protocol.cleanup()
    options.onClose(failure ?? error)
  }
  const fail = (error: SallyportError): void => {
    failure ??= error
    if (!stream.destroyed) stream.destroy()
    close(failure)
  }
  const write = (data: Buffer): void => {
    if (closed || !stream.writable) return
    if (!corked) {
      // One system call for everything sent in this turn of the event loop.
      corked = true
      stream.cork()
      process.nextTick(() => {
        corked = false
        stream.uncork()
      })
    }
    stream.write(data)
    countBytes(data.length)
  }
  const countBytes = (count: number): void => {
    bytesSinceKeys += count
    if (bytesSinceKeys < rekeyBytes || !ready || closed) return
    bytesSinceKeys = 0
    protocol.rekey()
  }

  const verification =
    role.kind === 'client'
      ? hostKeyVerifier(
          () => protocol,
          role.verifyHostKey,
          error => {
            failure ??= asProblem(error, 'host_key_refused')
          },
        )
      : undefined
  const hostKeys = role.kind === 'server' ? serverHostKeys(role.hostKeys, () => protocol._kex) : undefined
  const hostKeyNames =
    role.kind === 'server'
      ? Object.keys(hostKeys ?? {})
      : (role.hostKeyAlgorithms ?? hostCertificateAlgorithms)
  const protocolOptions: ProtocolOptions = {
    server: role.kind === 'server',
    ident,
    offer: offer(role.kind, hostKeyNames, options.algorithms),
    ...(hostKeys && {hostKeys}),
    ...(verification && {hostVerifier: verification.verifier}),
    onWrite: write,
    onError: error => fail(transportProblem(error)),
    onHeader: header => {
      remoteIdent = header.identRaw.trim().slice(0, 255)
    },
    onHandshakeComplete: negotiated => {
      bytesSinceKeys = 0
      if (ready) return
      ready = true
      options.onReady(negotiated)
    },
    messageHandlers: {
      DISCONNECT: (_protocol: unknown, reason: number, description: string) => {
        const orderly = reason === disconnectReason.byApplication
        failure ??= orderly ? undefined : disconnected(description)
        stream.end()
        close(failure)
      },
    },
  }
  const protocol: Ssh2Protocol = new (ssh2().Protocol)(protocolOptions)
  takeOverMessages(protocol, options.onMessage)
  if (role.kind === 'server') sendOwnExtInfo(protocol, payload => send(payload))
  if (verification) onKeyExchange(protocol, verification.hook)

  const send = (payload: Buffer): boolean => {
    if (closed || protocol._destruct === undefined) return true
    const writer = protocol._packetRW.write
    const start = writer.allocStart
    const packet = writer.alloc(payload.length)
    packet.set(payload, start)
    ssh2().sendPacket(protocol, writer.finalize(packet))
    return stream.writableLength < maxUnsentBytes
  }

  const receive = (chunk: Buffer): void => {
    try {
      const bytes = identified ? chunk : gather(chunk)
      if (!bytes) return
      identified = true
      protocol.parse(bytes, 0, bytes.length)
      countBytes(bytes.length)
    } catch (error) {
      fail(transportProblem(error))
    }
  }
  stream.on('data', receive)
  stream.on('drain', () => !closed && options.onDrain())
  stream.on('error', error => {
    failure ??= problem('protocol_error', `the connection broke: ${error.message}`, {cause: error})
    close(failure)
  })
  stream.on('end', () => {
    if (!ready) failure ??= problem('protocol_error', 'handshake failed: EOF')
    stream.end()
    close(failure)
  })
  stream.on('close', () => close(undefined))
  if ('setNoDelay' in stream && typeof stream.setNoDelay === 'function') stream.setNoDelay(true)
  const rekeyTimer = setInterval(
    () => ready && !closed && bytesSinceKeys > 0 && protocol.rekey(),
    rekeyMilliseconds,
  )
  rekeyTimer.unref()
  protocol.start()

  return {
    send,
    sessionId: () => protocol._kex?.sessionID ?? Buffer.alloc(0),
    remoteIdent: () => remoteIdent,
    disconnect(reason = disconnectReason.byApplication) {
      if (closed) return
      if (ready || identified) protocol.disconnect(reason)
      stream.end()
      close(undefined)
    },
    fail,
  }
}

/** Messages from 50 up, and the service and extension messages, go to us; ssh2 keeps the key exchange. */
function takeOverMessages(protocol: Ssh2Protocol, onMessage: (payload: Buffer) => void): void {
  const inner = protocol._onPayload
  protocol._onPayload = payload => {
    const type = payload[0] ?? 0
    const ours =
      type >= message.userauthRequest || (type >= message.serviceRequest && type <= message.extInfo)
    return ours ? onMessage(payload) : inner(payload)
  }
}

function sendOwnExtInfo(protocol: Ssh2Protocol, send: (payload: Buffer) => boolean): void {
  const complete = protocol._onHandshakeComplete
  let first = true
  protocol._onHandshakeComplete = negotiated => {
    const wanted = first && protocol._kex?.remoteExtInfoEnabled === true
    if (protocol._kex) protocol._kex.remoteExtInfoEnabled = false
    first = false
    if (wanted) {
      send(
        new WireWriter().u8(message.extInfo).u32(1).string('server-sig-algs').string(serverSigAlgs).finish(),
      )
    }
    complete(negotiated)
  }
}

const disconnected = (description: string): SallyportError =>
  problem(
    'protocol_error',
    `the peer ended the connection: ${description?.slice(0, 200) || 'no reason given'}`,
  )

const transportProblem = (error: unknown): SallyportError => asProblem(error, 'protocol_error')

/** Parses EXT_INFO (RFC 8308 §2.3), at most 16 extensions. */
export function readExtInfo(payload: Buffer): Map<string, string> {
  const reader = new WireReader(payload)
  reader.u8()
  const count = Math.min(reader.u32(), 16)
  return new Map(Array.from({length: count}, () => [reader.text(), reader.string().toString('latin1')]))
}
