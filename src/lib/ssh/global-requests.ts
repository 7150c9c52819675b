import {type WireReader, WireWriter} from '../sshcert/index.js'
import {message} from './messages.js'
import {orderedReplies} from './ordered-replies.js'

/** A peer that sends more requests than this before any is answered is flooding. */
const maxPendingRequests = 256

export interface GlobalRequest {
  type: string
  data: Buffer
  wantReply: boolean
}

/** false refuses, true accepts, a Buffer accepts with data. */
export type GlobalAnswer = boolean | Buffer

export type GlobalRequestHandler = (request: GlobalRequest) => GlobalAnswer | Promise<GlobalAnswer>

/** Both directions of global requests (RFC 4254 §4) on one connection. */
export interface GlobalRequests {
  request(type: string, data: Buffer, wantReply: boolean): Promise<Buffer | undefined>
  receiveRequest(reader: WireReader): void
  /** undefined: the peer refused. */
  receiveAnswer(data: Buffer | undefined): void
  ended(): void
}

/** @param handler looked up anew with each request; a handler that throws refuses */
export function globalRequests(
  send: (payload: Buffer) => void,
  handler: () => GlobalRequestHandler | undefined,
): GlobalRequests {
  const answers: ((answer: Buffer | undefined) => void)[] = []
  const replies = orderedReplies(maxPendingRequests)

  const reply = (answer: GlobalAnswer): void => {
    if (answer === false) return send(new WireWriter().u8(message.requestFailure).finish())
    const success = new WireWriter().u8(message.requestSuccess)
    send((Buffer.isBuffer(answer) ? success.raw(answer) : success).finish())
  }
  const ask = async (request: GlobalRequest): Promise<GlobalAnswer> => {
    try {
      return (await handler()?.(request)) ?? false
    } catch {
      return false
    }
  }

  return {
    request(type, data, wantReply) {
      const answer = wantReply
        ? new Promise<Buffer | undefined>(resolve => answers.push(resolve))
        : Promise.resolve(undefined)
      send(new WireWriter().u8(message.globalRequest).string(type).bool(wantReply).raw(data).finish())
      return answer
    },
    receiveRequest(reader) {
      const type = reader.string().toString('latin1')
      const wantReply = reader.bool()
      const data = Buffer.from(reader.rest())
      const settle = wantReply ? replies.expect<GlobalAnswer>(reply) : () => undefined
      if (type === 'keepalive@openssh.com') return settle(true)
      void ask({type, data, wantReply}).then(settle)
    },
    receiveAnswer(data) {
      answers.shift()?.(data)
    },
    ended() {
      for (const answer of answers.splice(0)) answer(undefined)
    },
  }
}
