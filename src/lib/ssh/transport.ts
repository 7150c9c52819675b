import type {Duplex} from 'node:stream'
import {asProblem, problem, problemLine, type SallyportError} from '../errors/index.js'
import {hostCertificateAlgorithms, WireWriter} from '../sshcert/index.js'
import {type AlgorithmChoice, offer} from './algorithms.js'
import {Channel} from './channel.js'
import {sendOwnExtInfo} from './ext-info.js'
import {
  type HostIdentity,
  hostKeyVerifier,
  onKeyExchange,
  type PresentedHostKey,
  serverHostKeys,
} from './host-keys.js'
import {type Incoming, readIncoming} from './incoming.js'
import {isPlainSocket} from './lending.js'
import {disconnectReason, message} from './messages.js'
import {corkedOutput, type Outgoing} from './outgoing.js'
import {type PacketParser, packetParser} from './packet-parser.js'
import {giveBackRoom, type PacketMaker, packetMaker} from './packet-room.js'
import {peerText} from './peer-text.js'
import {defaultRekeyLimits, type RekeyLimits, type RekeyPolicy, rekeyPolicy} from './rekey-policy.js'
import {type Negotiated, type ProtocolOptions, type Ssh2Protocol, ssh2} from './ssh2-protocol.js'
import {endStream} from './stream-end.js'
import {disconnected, transportProblem} from './transport-problems.js'

/** OpenSSH sends eow@openssh.com, which ends `ssh host yes | head`, only to peers whose name begins like this. */
const ident = 'OpenSSH_9.9-Sallyport'

/** Messages that ssh2 queues while keys are exchanged. Data waits elsewhere, so these are answers and credit. */
const maxQueuedMessages = 4096

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
  /** When to ask for new keys. */
  rekey?: RekeyLimits
  /** Monotonic milliseconds. */
  now?: () => number
  /**
   * Each message above the transport layer. The buffer is the callee's to keep, but for channel data, which is lent for
   * the call. What it throws ends the connection.
   */
  onMessage(payload: Buffer): void
  /** Once, when the first key exchange is complete. */
  onReady(negotiated: Negotiated): void
  /** Bulk data may be sent again after `congested` had said otherwise. */
  onDrain(): void
  /** Once, at the end; undefined means an orderly end. */
  onClose(error: SallyportError | undefined): void
}

/** One SSH transport (RFC 4253): encrypted messages over a stream. */
export interface Transport {
  /** Queues a message. */
  send(payload: Buffer): void
  /** Queues a message of `length` bytes which `fill` writes straight into the packet, from `at` on. */
  sendFilled(length: number, fill: (packet: Buffer, at: number) => void): void
  /** The peer or the key exchange is behind: bulk data has to wait for `onDrain`. */
  congested(): boolean
  /** Takes no more messages until everybody has run who waits for something that happened in this turn. */
  holdTurn(): void
  /** The exchange hash of the first key exchange, to which authentication is bound. */
  sessionId(): Buffer
  remoteIdent(): string
  /** Ends the connection with a DISCONNECT; pending output is flushed. */
  disconnect(reason?: number): void
  /** Ends the connection with this error, which a server tells its client. */
  fail(error: SallyportError): void
}

export const createTransport = (options: TransportOptions): Transport => new Ssh2Transport(options)

/** ssh2's protocol object between a stream and the layers above, and the rules about when which of them has to wait. */
class Ssh2Transport implements Transport {
  readonly #options: TransportOptions
  readonly #stream: Duplex
  readonly #protocol: Ssh2Protocol
  readonly #outgoing: Outgoing
  readonly #parser: PacketParser
  readonly #incoming: Incoming
  readonly #rekeying: RekeyPolicy
  readonly #makePacket: PacketMaker | undefined
  /** The packet that is being encrypted, where its room is ours. */
  #inOwnRoom: Buffer | undefined
  #ready = false
  #closed = false
  #failure: SallyportError | undefined
  #remoteIdent = ''
  #queuedMessages = 0
  #releaseBacklog: (() => void) | undefined

  constructor(options: TransportOptions) {
    const {stream, role} = options
    this.#options = options
    this.#stream = stream
    this.#rekeying = rekeyPolicy(
      options.rekey ?? defaultRekeyLimits,
      options.now ?? (() => performance.now()),
    )
    this.#outgoing = corkedOutput(stream)
    this.#makePacket = letsGo(stream) ? packetMaker() : undefined
    this.#protocol = this.#createProtocol(role)
    this.#parser = packetParser(this.#protocol)
    this.#takeOverMessages()
    this.#incoming = readIncoming(stream, role.kind === 'server' ? 'client' : 'server', {
      parse: (chunk, from, lent) => this.#parse(chunk, from, lent),
      keeps: () => !this.#ready || this.#exchangingKeys(),
      onBroken: error => this.#broken(error),
    })
    this.#followStream()
    this.#protocol.start()
  }

  send(payload: Buffer): void {
    this.sendFilled(payload.length, (packet, at) => packet.set(payload, at))
  }

  sendFilled(length: number, fill: (packet: Buffer, at: number) => void): void {
    const protocol = this.#protocol
    if (this.#closed) return
    const writer = protocol._packetRW.write
    // While keys are exchanged packets wait for a cipher that is not known yet.
    const own = this.#exchangingKeys() ? undefined : this.#makePacket?.(protocol._cipher, length)
    const packet = own ?? writer.alloc(length)
    fill(packet, writer.allocStart)
    this.#inOwnRoom = own
    ssh2().sendPacket(protocol, writer.finalize(packet))
    this.#inOwnRoom = undefined
    this.#afterSending()
  }

  congested(): boolean {
    // Between the death of a stream and its `close` nothing would ever fill up, and a writer never pause.
    return this.#exchangingKeys() || this.#outgoing.full() || this.#closed || !this.#stream.writable
  }

  holdTurn(): void {
    setImmediate(this.#incoming.hold())
  }

  sessionId(): Buffer {
    return this.#protocol._kex?.sessionID ?? Buffer.alloc(0)
  }

  remoteIdent(): string {
    return this.#remoteIdent
  }

  disconnect(reason: number = disconnectReason.byApplication): void {
    this.#sendDisconnect(reason, '')
    this.#end(undefined, endStream)
  }

  fail(error: SallyportError): void {
    const told = this.#options.role.kind === 'server' && error.code !== 'internal'
    this.#sendDisconnect(disconnectReason.protocolError, told ? `sallyport: ${problemLine(error)}` : '')
    this.#end(error, endStream)
  }

  #createProtocol(role: TransportRole): Ssh2Protocol {
    const {Protocol} = ssh2()
    if (role.kind === 'server') {
      const hostKeys = serverHostKeys(role.hostKeys, () => this.#protocol._kex)
      const protocol = new Protocol({...this.#protocolOptions(Object.keys(hostKeys)), hostKeys})
      sendOwnExtInfo(protocol, payload => this.send(payload))
      return protocol
    }
    const verification = hostKeyVerifier({
      protocol: () => this.#protocol,
      verify: role.verifyHostKey,
      hold: () => this.#incoming.hold(),
      attempt: action => this.#attempt(action),
      refuse: error => {
        this.#failure ??= asProblem(error, 'host_key_refused')
      },
    })
    const algorithms = role.hostKeyAlgorithms ?? hostCertificateAlgorithms
    const protocol = new Protocol({
      ...this.#protocolOptions(algorithms),
      hostVerifier: verification.verifier,
    })
    onKeyExchange(protocol, verification.hook)
    return protocol
  }

  #protocolOptions(hostKeyAlgorithms: readonly string[]): ProtocolOptions {
    const {role, algorithms} = this.#options
    return {
      server: role.kind === 'server',
      ident,
      offer: offer(hostKeyAlgorithms, algorithms),
      onWrite: data => {
        if (this.#closed) return
        this.#outgoing.write(data, data === this.#inOwnRoom ? givingBack(data) : undefined)
        this.#rekeying.count(data.length)
      },
      // ssh2 has told the peer already.
      onError: error => this.#end(transportProblem(error, hostKeyAlgorithms), endStream),
      onHeader: header => {
        this.#remoteIdent = peerText(header.identRaw, 255)
      },
      onHandshakeComplete: negotiated => this.#keysExchanged(negotiated),
      messageHandlers: {
        DISCONNECT: (_protocol, reason, description) => {
          const orderly = reason === disconnectReason.byApplication
          this.#end(orderly ? undefined : disconnected(description), endStream)
        },
      },
    }
  }

  /** Messages from 50 up, and the service and extension messages, go to us; ssh2 keeps the key exchange. */
  #takeOverMessages(): void {
    const protocol = this.#protocol
    const inner = protocol._onPayload
    protocol._onPayload = payload => {
      const type = payload[0] ?? 0
      const ours =
        type >= message.userauthRequest || (type >= message.serviceRequest && type <= message.extInfo)
      // Of all that is lent only data is large and frequent, and whoever takes it knows that it is lent.
      const isData = type === message.channelData || type === message.channelExtendedData
      const own = isData ? payload : Buffer.from(payload)
      if (ours) this.#options.onMessage(own)
      else inner(own)
      this.#parser.handled(payload)
      // The messages of a key exchange go round this function, and are kept.
      return this.#closed ? Number.POSITIVE_INFINITY : false
    }
  }

  #followStream(): void {
    const stream = this.#stream
    stream.on('drain', () => this.#drained())
    stream.on('error', error => {
      const failure = problem('protocol_error', `the connection broke: ${error.message}`, {cause: error})
      this.#end(failure, destroyStream)
    })
    stream.on('end', () => {
      this.#end(this.#ready ? undefined : problem('protocol_error', 'handshake failed: EOF'), endStream)
    })
    stream.on('close', () => this.#end(undefined, destroyStream))
    if ('setNoDelay' in stream && typeof stream.setNoDelay === 'function') stream.setNoDelay(true)
    if (!stream.destroyed) return
    const gone = problem('protocol_error', 'the connection broke before it could be used')
    process.nextTick(() => this.#end(gone, destroyStream))
  }

  #parse(chunk: Buffer, from: number, lent: boolean): number {
    const next = this.#parser.parse(chunk, from, lent)
    this.#rekeying.count(Math.min(next, chunk.length) - from)
    this.#rekeyIfDue()
    return next
  }

  #afterSending(): void {
    if (this.#exchangingKeys()) {
      if (++this.#queuedMessages <= maxQueuedMessages) return
      return this.fail(problem('limit_exceeded', 'the peer does not finish the exchange of keys'))
    }
    this.#rekeyIfDue()
    if (this.#outgoing.backlogged()) this.#releaseBacklog ??= this.#incoming.hold()
  }

  #exchangingKeys(): boolean {
    return this.#protocol._kexinit !== undefined
  }

  /** Never from within a write: ssh2 would encrypt the KEXINIT under the nonce of the packet being written. */
  #rekeyIfDue(): void {
    if (!this.#ready || this.#closed || this.#exchangingKeys() || !this.#rekeying.due()) return
    this.#protocol.rekey()
  }

  #keysExchanged(negotiated: Negotiated): void {
    this.#queuedMessages = 0
    this.#rekeying.exchanged()
    if (this.#ready) return this.#options.onDrain()
    this.#ready = true
    this.#options.onReady(negotiated)
  }

  #drained(): void {
    const release = this.#releaseBacklog
    this.#releaseBacklog = undefined
    release?.()
    if (!this.#closed) this.#options.onDrain()
  }

  /** For what runs outside the parser but may fail like it. */
  #attempt(action: () => void): void {
    if (this.#closed) return
    try {
      action()
    } catch (error) {
      this.#broken(error)
    }
  }

  #broken(error: unknown): void {
    this.fail(transportProblem(error))
  }

  /** ssh2's own DISCONNECT has no words. It may go out in the middle of a key exchange, and is never queued. */
  #sendDisconnect(reason: number, description: string): void {
    const protocol = this.#protocol
    if (this.#closed) return
    const writer = protocol._packetRW.write
    const payload = new WireWriter()
      .u8(message.disconnect)
      .u32(reason)
      .string(description)
      .string('')
      .finish()
    const packet = writer.alloc(payload.length, true)
    packet.set(payload, writer.allocStartKEX)
    ssh2().sendPacket(protocol, writer.finalize(packet, true), true)
  }

  #end(error: SallyportError | undefined, close: (stream: Duplex) => void): void {
    if (this.#closed) return
    this.#closed = true
    this.#incoming.stop()
    this.#protocol.cleanup()
    close(this.#stream)
    this.#options.onClose(this.#failure ?? error)
  }
}

/** What broke off may still be looked at by the system. */
const givingBack = (packet: Buffer) => (error?: Error | null) => {
  if (!error) giveBackRoom(packet)
}

/** Whether a stream keeps nothing of what it has said to have written. One in memory may pass on the very buffer. */
const letsGo = (stream: Duplex): boolean => isPlainSocket(stream) || stream instanceof Channel

const destroyStream = (stream: Duplex): void => {
  if (!stream.destroyed) stream.destroy()
}
