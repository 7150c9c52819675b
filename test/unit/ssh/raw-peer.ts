import type {Duplex} from 'node:stream'
import type {SallyportError} from '../../../src/lib/errors/index.js'
import type {AcceptOptions, ConnectOptions, SshConnection} from '../../../src/lib/ssh/index.js'
import {message} from '../../../src/lib/ssh/messages.js'
import {
  type KeyExchange,
  type Negotiated,
  type ProtocolOptions,
  type ServerHostKey,
  type Ssh2Protocol,
  ssh2,
} from '../../../src/lib/ssh/ssh2-protocol.js'
import {
  createTransport,
  type Transport,
  type TransportOptions,
  type TransportRole,
} from '../../../src/lib/ssh/transport.js'
import {WireReader, WireWriter} from '../../../src/lib/sshcert/index.js'
import {acceptOn, anyHostKey, connectOn, hostIdentity, streamPair, userCredential} from './fixture.js'

/** An SSH transport whose messages a test writes and reads itself: any nonsense can be said in proper packets. */
export interface RawPeer {
  transport: Transport
  stream: Duplex
  send(payload: Buffer): void
  /** The next message that is not EXT_INFO. Rejects when the connection ends first. */
  next(): Promise<Buffer>
  /** The next message of this type; those before it are dropped. */
  nextOf(type: number): Promise<Buffer>
  /** Every message so far, in order. */
  log: Buffer[]
  ready: Promise<Negotiated>
  closed: Promise<SallyportError | undefined>
  isClosed(): boolean
}

export function rawPeer(
  stream: Duplex,
  role: TransportRole,
  options: Partial<Pick<TransportOptions, 'algorithms' | 'rekey' | 'now'>> = {},
): RawPeer {
  const log: Buffer[] = []
  const unread: Buffer[] = []
  let waiting: {resolve: (payload: Buffer) => void; reject: (reason: Error) => void} | undefined
  let over = false
  let settleReady: (negotiated: Negotiated) => void = () => undefined
  const ready = new Promise<Negotiated>(resolve => {
    settleReady = resolve
  })
  let settleClosed: (error: SallyportError | undefined) => void = () => undefined
  const closed = new Promise<SallyportError | undefined>(resolve => {
    settleClosed = resolve
  })
  const transport = createTransport({
    stream,
    role,
    ...options,
    onReady: settleReady,
    onDrain: () => undefined,
    onMessage(payload) {
      const copy = Buffer.from(payload)
      log.push(copy)
      if (copy[0] === message.extInfo) return
      if (waiting) waiting.resolve(copy)
      else unread.push(copy)
      waiting = undefined
    },
    onClose(error) {
      over = true
      waiting?.reject(error ?? new Error('the connection has ended'))
      settleClosed(error)
    },
  })
  const next = (): Promise<Buffer> => {
    const payload = unread.shift()
    if (payload) return Promise.resolve(payload)
    if (over) return Promise.reject(new Error('the connection has ended'))
    return new Promise((resolve, reject) => {
      waiting = {resolve, reject}
    })
  }
  return {
    ...{transport, stream, log, ready, closed, next},
    isClosed: () => over,
    send: payload => transport.send(payload),
    async nextOf(type) {
      for (let payload = await next(); ; payload = await next()) if (payload[0] === type) return payload
    },
  }
}

/** A client that stands before the door: keys are exchanged, nothing is said yet. */
export async function rawClient(stream: Duplex): Promise<RawPeer> {
  const peer = rawPeer(stream, {
    kind: 'client',
    hostKeyAlgorithms: anyHostKey,
    verifyHostKey: async () => undefined,
  })
  await peer.ready
  return peer
}

export const serviceRequest = (service = 'ssh-userauth'): Buffer =>
  new WireWriter().u8(message.serviceRequest).string(service).finish()

export interface UserauthFields {
  username?: string
  service?: string
  method?: string
  algorithm?: string
  blob?: Buffer
  /** Bytes behind the algorithm and blob; the signature is made over what is in front of them. */
  sign?: (request: Buffer) => Promise<Buffer> | Buffer
}

/** A publickey request, a query unless `sign` is given. */
export async function userauth(fields: UserauthFields = {}): Promise<Buffer> {
  const request = new WireWriter()
    .u8(message.userauthRequest)
    .string(fields.username ?? 'root')
    .string(fields.service ?? 'ssh-connection')
    .string(fields.method ?? 'publickey')
    .bool(fields.sign !== undefined)
    .string(fields.algorithm ?? 'ssh-ed25519-cert-v01@openssh.com')
    .string(fields.blob ?? Buffer.alloc(0))
    .finish()
  if (!fields.sign) return request
  return new WireWriter()
    .raw(request)
    .string(await fields.sign(request))
    .finish()
}

/** A raw client logged in to a server of ours. */
export async function rawClientOfServer(
  options: Partial<AcceptOptions> = {},
  streams: [Duplex, Duplex] = streamPair(),
): Promise<{peer: RawPeer; server: SshConnection}> {
  const accepting = acceptOn(streams[1], options)
  const peer = await rawClient(streams[0])
  const {blob, signer} = await userCredential()
  peer.send(serviceRequest())
  await peer.nextOf(message.serviceAccept)
  const sign = (request: Buffer): Promise<Buffer> =>
    signer.sign(new WireWriter().string(peer.transport.sessionId()).raw(request).finish())
  peer.send(await userauth({blob, sign}))
  await peer.nextOf(message.userauthSuccess)
  return {peer, server: (await accepting).connection}
}

/** A raw server that has let a client of ours in without a look at its papers. */
export async function rawServerOfClient(
  options: Partial<ConnectOptions> = {},
  streams: [Duplex, Duplex] = streamPair(),
): Promise<{peer: RawPeer; client: SshConnection}> {
  const peer = rawPeer(streams[1], {kind: 'server', hostKeys: [await hostIdentity()]})
  const connecting = connectOn(streams[0], options)
  await peer.nextOf(message.serviceRequest)
  peer.send(new WireWriter().u8(message.serviceAccept).string('ssh-userauth').finish())
  await peer.nextOf(message.userauthRequest)
  peer.send(Buffer.of(message.userauthSuccess))
  return {peer, client: await connecting}
}

/** What a test that plays foul reaches into. */
export interface Insides extends Ssh2Protocol {
  _hostKeys: Record<string, ServerHostKey>
  _kex: (KeyExchange & {parse(payload: Buffer): void}) | undefined
}

/** ssh2's protocol object behind the next transport that is created while `make` runs. */
export function insidesOf<Made>(make: () => Made): {made: Made; insides: Insides} {
  const api = ssh2()
  const {Protocol} = api
  let insides: Insides | undefined
  api.Protocol = class extends Protocol {
    constructor(options: ProtocolOptions) {
      super(options)
      insides ??= this as unknown as Insides
    }
  }
  try {
    const made = make()
    if (!insides) throw new Error('no protocol was created')
    return {made, insides}
  } finally {
    api.Protocol = Protocol
  }
}

// ── messages ────────────────────────────────────────────────────────────────────────────────────────────────────

export interface OpenFields {
  type?: string
  id?: number
  window?: number
  maxPacket?: number
  extra?: Buffer
}

export const channelOpen = ({type, id, window, maxPacket, extra}: OpenFields = {}): Buffer =>
  new WireWriter()
    .u8(message.channelOpen)
    .string(type ?? 'session')
    .u32(id ?? 0)
    .u32(window ?? 2 ** 21)
    .u32(maxPacket ?? 32768)
    .raw(extra ?? Buffer.alloc(0))
    .finish()

export const confirmation = (
  to: number,
  {id, window, maxPacket}: Omit<OpenFields, 'type' | 'extra'> = {},
): Buffer =>
  new WireWriter()
    .u8(message.channelOpenConfirmation)
    .u32(to)
    .u32(id ?? 0)
    .u32(window ?? 2 ** 21)
    .u32(maxPacket ?? 32768)
    .finish()

export const channelData = (to: number, data: Buffer | string): Buffer =>
  new WireWriter().u8(message.channelData).u32(to).string(data).finish()

export const extendedData = (to: number, data: Buffer | string, type = 1): Buffer =>
  new WireWriter().u8(message.channelExtendedData).u32(to).u32(type).string(data).finish()

export const windowAdjust = (to: number, bytes: number): Buffer =>
  new WireWriter().u8(message.channelWindowAdjust).u32(to).u32(bytes).finish()

export const bare = (type: number, to: number): Buffer => new WireWriter().u8(type).u32(to).finish()

export const channelRequest = (
  to: number,
  type: string,
  wantReply = true,
  data: Buffer = Buffer.alloc(0),
): Buffer =>
  new WireWriter().u8(message.channelRequest).u32(to).string(type).bool(wantReply).raw(data).finish()

export const globalRequest = (type: string, wantReply = true): Buffer =>
  new WireWriter().u8(message.globalRequest).string(type).bool(wantReply).finish()

/** The sender's number for its end, from a CHANNEL_OPEN or its confirmation. */
export function senderChannel(payload: Buffer): number {
  const reader = new WireReader(payload)
  if (reader.u8() === message.channelOpen) reader.string()
  else reader.u32()
  return reader.u32()
}
