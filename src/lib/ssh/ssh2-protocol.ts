import {createRequire} from 'node:module'
import {problem} from '../errors/index.js'

/**
 * The only door to npm ssh2. We use its transport layer (packets, ciphers, key exchange) and nothing above it: its
 * client, server and channel classes cannot carry certificates and share one window flag between stdout and stderr.
 * What we touch is not public API, hence the exact version and the contract tests (docs/decisions/001-ssh2-transport.md).
 */
export const ssh2Version = '1.17.0'

/** ssh2 refuses packets over 35 000 bytes; what is left after padding, MAC and our headers, rounded down. */
export const maxPayload = 34_000

export interface Negotiated {
  kex: string
  /** Host key algorithm; becomes the signature format while a certificate is being handled. */
  serverHostKey: string
  cs: {cipher: string; mac: string; compress: string}
  sc: {cipher: string; mac: string; compress: string}
}

export interface KeyExchange {
  negotiated: Negotiated
  sessionID: Buffer
  remoteExtInfoEnabled: boolean
  _hostKey: unknown
}

/** What ssh2 wants of a host key when it acts as server. */
export interface ServerHostKey {
  type: string
  getPublicSSH(): Buffer
  /** Raw signature bytes; the format name in front of them is `negotiated.serverHostKey` as it stands afterwards. */
  sign(data: Buffer): Buffer | Error
}

/** Makes packets. `force` is for messages that may be sent while keys are exchanged, instead of queued. */
interface PacketWriter {
  allocStart: number
  allocStartKEX: number
  alloc(length: number, force?: boolean): Buffer
  finalize(packet: Buffer, force?: boolean): Buffer
}

/** Encrypts packets; another one after every key exchange. */
export interface PacketCipher {
  /** A packet with its header, its padding, and room for a payload of that many bytes and for the MAC. */
  allocPacket(payloadLength: number): Buffer
}

/** Takes packets apart; another one after every key exchange. */
export interface PacketDecipher {
  /** The packet that is coming, behind its length and as far as it has come. */
  _packet: Uint8Array | null
  /** Length of the packet, in bytes behind the length itself; only right when all of the length has come. */
  _len: number
  /** How many bytes of the length have come: each kind of decipher has one of these. */
  _lenBytes?: number
  _lenPos?: number
  _blockPos?: number
}

/** true accepts the host, false refuses it, undefined leaves it to `verdict`. */
export type HostVerifier = (blob: Buffer, verdict: (accepted: boolean) => void) => boolean | undefined

export interface Ssh2Protocol {
  _kex: KeyExchange | undefined
  /** Our KEXINIT while a key exchange is under way; messages are queued as long as it is set. */
  _kexinit: Buffer | undefined
  /** false stops the parser behind this message, Infinity drops the rest, undefined goes on. */
  _onPayload: (payload: Buffer) => number | false | undefined
  _onHandshakeComplete: (negotiated: Negotiated) => void
  _packetRW: {write: PacketWriter}
  _cipher: PacketCipher
  _decipher: PacketDecipher
  /** One step of `parse`, which cannot be stopped midway. Returns where to go on, undefined when `end` is reached. */
  _parse(chunk: Buffer, from: number, end: number): number | undefined
  start(): void
  rekey(): void
  cleanup(): void
}

export interface AlgorithmLists {
  kex: string[]
  serverHostKey: string[]
  cs: {cipher: string[]; mac: string[]; compress: string[]; lang: string[]}
  sc: {cipher: string[]; mac: string[]; compress: string[]; lang: string[]}
}

export interface ProtocolOptions {
  server: boolean
  ident: string
  offer: AlgorithmLists
  hostKeys?: Record<string, ServerHostKey>
  hostVerifier?: HostVerifier
  onWrite(data: Buffer): void
  onError(error: Error): void
  onHeader(header: {identRaw: string}): void
  onHandshakeComplete(negotiated: Negotiated): void
  messageHandlers: {DISCONNECT(protocol: unknown, reason: number, description: string): void}
}

interface Ssh2 {
  Protocol: new (options: ProtocolOptions) => Ssh2Protocol
  sendPacket(protocol: Ssh2Protocol, packet: Buffer, force?: boolean): boolean
  bindingAvailable: boolean
  /** Resolves when the cipher that takes WebAssembly in place of the native binding can be used. */
  init: Promise<void>
}

let loaded: Ssh2 | undefined

/** Loads ssh2 on first use, so that commands which need no SSH do not pay for it. */
export function ssh2(): Ssh2 {
  if (loaded) return loaded
  const require = createRequire(import.meta.url)
  requireKnownVersion((require('ssh2/package.json') as {version: string}).version)
  const {sendPacket} = require('ssh2/lib/protocol/utils.js') as Pick<Ssh2, 'sendPacket'>
  const {bindingAvailable, init} = require('ssh2/lib/protocol/crypto.js') as Omit<Ssh2, 'Protocol'>
  loaded = {Protocol: require('ssh2/lib/protocol/Protocol.js'), sendPacket, bindingAvailable, init}
  return loaded
}

let ready = false

/**
 * Begins a connection when every cipher that is offered can be used: where ssh2's native binding was not built,
 * chacha20-poly1305 is WebAssembly, which is compiled after ssh2 is loaded, and a client may be faster.
 */
export function whenReady<Result>(begin: () => Promise<Result>): Promise<Result> {
  const {bindingAvailable, init} = ssh2()
  if (ready || bindingAvailable) return begin()
  return init.then(() => {
    ready = true
    return begin()
  })
}

/** @throws internal for any version but the one whose insides we know */
export function requireKnownVersion(found: string): void {
  if (found === ssh2Version) return
  throw problem('internal', `ssh2 ${found} is installed, but only ${ssh2Version} is known to work`, {
    hint: 'reinstall with npm ci',
  })
}

/** Whether ssh2's native ciphers were built; without them everything works, about ten times slower for chacha20. */
export const nativeCiphersAvailable = (): boolean => ssh2().bindingAvailable
