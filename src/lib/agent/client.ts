import type {KeyObject} from 'node:crypto'
import {connect} from 'node:net'
import type {Duplex} from 'node:stream'
import {asProblem, problem, type SallyportError} from '../errors/index.js'
import {
  type AgentIdentity,
  createUnframer,
  encodeAdd,
  encodeList,
  encodeRemove,
  encodeSign,
  frame,
  parseIdentities,
  parseSignature,
  parseSuccess,
} from './codec.js'
import {encodePrivateKey} from './private-key.js'

/** An agent answers from memory; one that is silent this long is gone. */
const requestTimeoutMs = 10_000
/** A signature may wait for a person: `ssh-add -c`, a touch of a security key. */
export const signTimeoutMs = 60_000
/** Requests under way on one connection; the protocol itself knows no bound. */
export const maxPending = 256

export interface AddRequest {
  privateKey: KeyObject
  /** Certificate blob for this key; the agent then offers the certificate. */
  certificate?: Buffer
  comment: string
  /** Whole seconds after which the agent forgets the key. */
  lifetimeSeconds?: number
}

/**
 * One connection to an ssh-agent (draft-miller-ssh-agent). Requests may run in parallel; the agent answers them in
 * order. Every method throws: agent_required when the agent refuses, timeout when it is silent, unavailable when
 * the connection has ended, protocol_error or limit_exceeded when the answer is malformed or too large.
 */
export interface AgentClient {
  list(): Promise<AgentIdentity[]>
  /** @returns the SSH signature blob @param flags see `signFlag` */
  sign(blob: Buffer, data: Buffer, flags: number): Promise<Buffer>
  add(request: AddRequest): Promise<void>
  remove(blob: Buffer): Promise<void>
  /** Ends the connection; whatever is under way is rejected. */
  close(): void
}

export interface AgentTimeouts {
  requestMs?: number
  signMs?: number
}

interface Pending {
  timeoutMs: number
  resolve: (body: Buffer) => void
  reject: (error: SallyportError) => void
}

/** Connects to the agent that listens on a Unix socket, as in SSH_AUTH_SOCK. Throws unavailable. */
export function connectAgent(socketPath: string, timeouts: AgentTimeouts = {}): Promise<AgentClient> {
  const requestMs = timeouts.requestMs ?? requestTimeoutMs
  return new Promise((resolve, reject) => {
    const socket = connect(socketPath)
    const fail = (message: string, cause?: unknown) => {
      clearTimeout(timer)
      socket.destroy()
      const hint = 'start one with: eval "$(ssh-agent)"'
      reject(problem('unavailable', `cannot reach the ssh-agent at ${socketPath}: ${message}`, {hint, cause}))
    }
    const timer = setTimeout(() => fail('no answer'), requestMs)
    const onError = (error: Error) => fail(error.message, error)
    socket.once('error', onError)
    socket.once('connect', () => {
      clearTimeout(timer)
      socket.off('error', onError)
      resolve(agentOver(socket, timeouts))
    })
  })
}

/** Speaks to an agent over any duplex stream, such as a forwarded-agent channel. The stream is the client's from here. */
export function agentOver(stream: Duplex, timeouts: AgentTimeouts = {}): AgentClient {
  const requestMs = timeouts.requestMs ?? requestTimeoutMs
  const signMs = timeouts.signMs ?? signTimeoutMs
  const request = exchange(stream)
  return {
    list: async () => parseIdentities(await request(encodeList(), requestMs)),
    sign: async (blob, data, flags) => parseSignature(await request(encodeSign(blob, data, flags), signMs)),
    async add({privateKey, certificate, comment, lifetimeSeconds}) {
      const body = encodeAdd(encodePrivateKey(privateKey, certificate), comment, lifetimeSeconds)
      parseSuccess(await request(body, requestMs), certificate ? 'hold this certificate' : 'hold this key')
    },
    async remove(blob) {
      parseSuccess(await request(encodeRemove(blob), requestMs), 'remove this key')
    },
    close: () => request.end(problem('unavailable', 'the connection to the ssh-agent was closed')),
  }
}

type Exchange = {
  (body: Buffer, timeoutMs: number): Promise<Buffer>
  end(reason: SallyportError): void
}

/** Sends bodies and pairs the answers with them in order. The first fault ends the stream and everything pending. */
function exchange(stream: Duplex): Exchange {
  const pending: Pending[] = []
  const unframe = createUnframer()
  let ended: SallyportError | undefined
  let timer: NodeJS.Timeout | undefined

  const end = (reason: SallyportError) => {
    if (ended) return
    ended = reason
    clearTimeout(timer)
    for (const one of pending.splice(0)) one.reject(reason)
    stream.destroy()
  }
  // Only the oldest request is on the clock: the others wait for it, not for the agent.
  const watchOldest = () => {
    clearTimeout(timer)
    const oldest = pending[0]
    if (!oldest) return
    const expire = () =>
      end(problem('timeout', `the ssh-agent gave no answer in ${oldest.timeoutMs / 1000} s`))
    timer = setTimeout(expire, oldest.timeoutMs)
  }
  const receive = (piece: Buffer) => {
    try {
      for (const body of unframe(piece)) {
        const oldest = pending.shift()
        if (!oldest) throw problem('protocol_error', 'the ssh-agent answered a question that nobody asked')
        oldest.resolve(body)
      }
      watchOldest()
    } catch (error) {
      end(asProblem(error, 'protocol_error'))
    }
  }
  stream.on('data', receive)
  stream.on('error', cause => end(problem('unavailable', 'the connection to the ssh-agent broke', {cause})))
  const gone = () => end(problem('unavailable', 'the ssh-agent closed the connection'))
  stream.on('end', gone)
  stream.on('close', gone)

  const send = (body: Buffer, timeoutMs: number): Promise<Buffer> =>
    new Promise((resolve, reject) => {
      if (ended) return reject(ended)
      if (pending.length >= maxPending)
        return reject(
          problem('limit_exceeded', `more than ${maxPending} requests to the ssh-agent at a time`),
        )
      const framed = frame(body)
      pending.push({timeoutMs, resolve, reject})
      if (pending.length === 1) watchOldest()
      stream.write(framed)
    })
  return Object.assign(send, {end})
}
