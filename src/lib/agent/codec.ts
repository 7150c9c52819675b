import {problem} from '../errors/index.js'
import {WireReader, WireWriter} from '../sshcert/index.js'

/** Longest message either way, the length word not counted; OpenSSH's own limit. */
export const maxMessageBytes = 256 * 1024
/** More identities than any honest agent holds; a peer that lists more is refused before they are read. */
export const maxIdentities = 1000

/** Message numbers of draft-miller-ssh-agent §6.1. */
export const agentMessage = {
  failure: 5,
  success: 6,
  requestIdentities: 11,
  identitiesAnswer: 12,
  signRequest: 13,
  signResponse: 14,
  addIdentity: 17,
  removeIdentity: 18,
  addIdConstrained: 25,
} as const

/** Flags of a sign request, draft-miller-ssh-agent §4.5.1; without one an RSA key would sign with SHA-1. */
export const signFlag = {rsaSha256: 2, rsaSha512: 4} as const

const constrainLifetime = 1

/** A public key or certificate that an agent holds, in SSH wire form. */
export interface AgentIdentity {
  blob: Buffer
  comment: string
}

export type AgentRequest =
  | {kind: 'list'}
  | {kind: 'sign'; blob: Buffer; data: Buffer; flags: number}
  /** Everything else an agent may be asked; the number is for the log. */
  | {kind: 'other'; number: number}

/** Puts the length word before a message body. */
export function frame(body: Buffer): Buffer {
  if (body.length === 0 || body.length > maxMessageBytes)
    throw problem(
      'limit_exceeded',
      `an agent message of ${body.length} bytes is outside 1–${maxMessageBytes}`,
    )
  return new WireWriter().string(body).finish()
}

/**
 * Cuts a byte stream into message bodies. Call it with each piece as it arrives; it returns the messages that are
 * complete by then. A length outside 1–256 kB throws before anything of that size is held; after a throw the
 * stream is of no further use.
 */
export function createUnframer(): (piece: Buffer) => Buffer[] {
  let pieces: Buffer[] = []
  let held = 0
  const take = (bytes: number): Buffer => {
    const all = pieces.length === 1 && pieces[0] ? pieces[0] : Buffer.concat(pieces)
    pieces = all.length > bytes ? [all.subarray(bytes)] : []
    held = all.length - bytes
    return all.subarray(0, bytes)
  }
  let expected: number | undefined
  return piece => {
    if (piece.length > 0) pieces.push(piece)
    held += piece.length
    const messages: Buffer[] = []
    for (;;) {
      if (expected === undefined) {
        if (held < 4) return messages
        expected = take(4).readUInt32BE(0)
        if (expected === 0 || expected > maxMessageBytes)
          throw problem('protocol_error', `agent message of ${expected} bytes, outside 1–${maxMessageBytes}`)
      }
      if (held < expected) return messages
      messages.push(take(expected))
      expected = undefined
    }
  }
}

export const encodeList = (): Buffer => Buffer.from([agentMessage.requestIdentities])

export const encodeSign = (blob: Buffer, data: Buffer, flags: number): Buffer =>
  new WireWriter().u8(agentMessage.signRequest).string(blob).string(data).u32(flags).finish()

/**
 * SSH_AGENTC_ADD_IDENTITY, or ADD_ID_CONSTRAINED where there is a lifetime. `key` comes from `encodePrivateKey`.
 * @param lifetimeSeconds the agent forgets the key after this many seconds; at least 1
 */
export function encodeAdd(key: Buffer, comment: string, lifetimeSeconds?: number): Buffer {
  const constrained = lifetimeSeconds !== undefined
  const message = new WireWriter()
    .u8(constrained ? agentMessage.addIdConstrained : agentMessage.addIdentity)
    .raw(key)
    .string(comment)
  if (!constrained) return message.finish()
  if (!Number.isSafeInteger(lifetimeSeconds) || lifetimeSeconds < 1 || lifetimeSeconds > 0xffff_ffff)
    throw problem('invalid_input', `a lifetime of ${lifetimeSeconds} seconds is not a whole number above 0`)
  return message.u8(constrainLifetime).u32(lifetimeSeconds).finish()
}

export const encodeRemove = (blob: Buffer): Buffer =>
  new WireWriter().u8(agentMessage.removeIdentity).string(blob).finish()

export function encodeIdentities(identities: readonly AgentIdentity[]): Buffer {
  const message = new WireWriter().u8(agentMessage.identitiesAnswer).u32(identities.length)
  for (const {blob, comment} of identities) message.string(blob).string(comment)
  return message.finish()
}

export const encodeSignature = (signature: Buffer): Buffer =>
  new WireWriter().u8(agentMessage.signResponse).string(signature).finish()

/** Reads SSH_AGENT_IDENTITIES_ANSWER; throws protocol_error or limit_exceeded. Blobs are copies. */
export function parseIdentities(body: Buffer): AgentIdentity[] {
  const reader = expectReply(body, agentMessage.identitiesAnswer, 'list its keys')
  const count = reader.u32()
  if (count > maxIdentities)
    throw problem('limit_exceeded', `the ssh-agent offers ${count} keys, more than ${maxIdentities}`)
  const identities: AgentIdentity[] = []
  for (let i = 0; i < count; i++) {
    const blob = Buffer.from(reader.string())
    // Comments are decoration: one that is not UTF-8 must not make the other keys unusable.
    identities.push({blob, comment: reader.string().toString('utf8')})
  }
  reader.end()
  return identities
}

/** Reads SSH_AGENT_SIGN_RESPONSE and returns the SSH signature blob, a copy. */
export function parseSignature(body: Buffer): Buffer {
  const reader = expectReply(body, agentMessage.signResponse, 'sign with this key')
  const signature = Buffer.from(reader.string())
  reader.end()
  return signature
}

/** Throws unless `body` is SSH_AGENT_SUCCESS; `deed` completes "the ssh-agent refused to …". */
export function parseSuccess(body: Buffer, deed: string): void {
  expectReply(body, agentMessage.success, deed).end()
}

function expectReply(body: Buffer, expected: number, deed: string): WireReader {
  const reader = new WireReader(body)
  const type = reader.u8()
  if (type === agentMessage.failure) throw problem('agent_required', `the ssh-agent refused to ${deed}`)
  if (type !== expected)
    throw problem('protocol_error', `the ssh-agent answered with message ${type} where ${expected} was due`)
  return reader
}

/** Reads what a client asks of an agent; a malformed list or sign request throws protocol_error. */
export function parseRequest(body: Buffer): AgentRequest {
  const reader = new WireReader(body)
  const number = reader.u8()
  if (number === agentMessage.requestIdentities) {
    reader.end()
    return {kind: 'list'}
  }
  if (number !== agentMessage.signRequest) return {kind: 'other', number}
  const request: AgentRequest = {
    kind: 'sign',
    blob: Buffer.from(reader.string()),
    data: Buffer.from(reader.string()),
    flags: reader.u32(),
  }
  reader.end()
  return request
}
