import type {Duplex} from 'node:stream'
import {asProblem, problem, type SallyportError} from '../errors/index.js'
import {signTimeoutMs} from './client.js'
import {
  type AgentIdentity,
  agentMessage,
  createUnframer,
  encodeIdentities,
  encodeSignature,
  frame,
  parseRequest,
} from './codec.js'

/** A key that the in-process agent offers. `flags` are those of the sign request, see `signFlag`. */
export interface AgentEntry extends AgentIdentity {
  /** @returns the SSH signature blob */
  sign(data: Buffer, flags: number): Promise<Buffer>
}

export interface ServeOptions {
  /** Told why a request was refused or the connection ended; the peer itself only ever sees FAILURE. */
  onProblem?: (error: SallyportError) => void
  /** A signature that takes longer is refused. */
  signMs?: number
}

const failureReply = frame(Buffer.from([agentMessage.failure]))

/**
 * Serves an agent that can list and sign with `entries`, and nothing else, to whoever is at the other end of
 * `stream`: adding, removing, locking, PKCS#11 providers and extensions are answered with FAILURE. Requests are
 * taken one at a time, so a peer that floods is held back by its own stream. A malformed or oversized message ends
 * the connection.
 * @returns resolves when the connection has ended; never rejects
 */
export async function serveAgent(
  stream: Duplex,
  entries: readonly AgentEntry[],
  {onProblem = () => {}, signMs = signTimeoutMs}: ServeOptions = {},
): Promise<void> {
  const unframe = createUnframer()
  // A peer that vanishes is not a fault of ours, and an 'error' without a listener would end the process.
  stream.on('error', () => {})
  try {
    // Destroying at the peer's end of input would lose answers that are still being written.
    for await (const piece of stream.iterator({destroyOnReturn: false})) {
      for (const body of unframe(piece as Buffer)) {
        const reply = await answer(body, entries, onProblem, work => within(signMs, stream, work))
        if (!(await send(stream, reply))) return
      }
    }
    stream.end()
  } catch (error) {
    onProblem(asProblem(error, 'protocol_error'))
    stream.destroy()
  }
}

async function answer(
  body: Buffer,
  entries: readonly AgentEntry[],
  onProblem: (error: SallyportError) => void,
  bounded: (work: Promise<Buffer>) => Promise<Buffer>,
): Promise<Buffer> {
  const request = parseRequest(body)
  if (request.kind === 'list') return frame(encodeIdentities(entries))
  if (request.kind === 'other') {
    onProblem(problem('access_denied', `agent request ${request.number} is not served, only list and sign`))
    return failureReply
  }
  try {
    const entry = entries.find(({blob}) => blob.equals(request.blob))
    if (!entry) throw problem('not_found', 'a signature was asked of a key that this agent does not hold')
    return frame(encodeSignature(await bounded(entry.sign(request.data, request.flags))))
  } catch (error) {
    onProblem(asProblem(error, 'internal'))
    return failureReply
  }
}

/** A signature in time and for a peer that is still there; otherwise throws timeout or cancelled. */
async function within(milliseconds: number, stream: Duplex, work: Promise<Buffer>): Promise<Buffer> {
  let release = (): void => {}
  const interrupted = new Promise<never>((_, reject) => {
    const expire = () => reject(problem('timeout', `no signature within ${milliseconds / 1000} s`))
    const gone = () => reject(problem('cancelled', 'the peer went away while a signature was being made'))
    const timer = setTimeout(expire, milliseconds)
    stream.once('close', gone)
    release = () => {
      clearTimeout(timer)
      stream.off('close', gone)
    }
  })
  try {
    return await Promise.race([work, interrupted])
  } finally {
    release()
  }
}

/** Waits until the stream takes more; false when it is gone. */
function send(stream: Duplex, data: Buffer): Promise<boolean> {
  if (stream.destroyed || !stream.writable) return Promise.resolve(false)
  if (stream.write(data)) return Promise.resolve(true)
  return new Promise(resolve => {
    const settle = (alive: boolean) => {
      stream.off('drain', drained)
      stream.off('close', gone)
      resolve(alive)
    }
    const drained = () => settle(true)
    const gone = () => settle(false)
    stream.on('drain', drained)
    stream.on('close', gone)
  })
}
