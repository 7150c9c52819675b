import {asProblem, type SallyportError} from '../errors/index.js'
import {WireReader, WireWriter} from '../sshcert/index.js'
import {message} from './messages.js'
import type {Transport} from './transport.js'

/** What a judge asks for besides the certificate: the answer to one question (RFC 4256). */
export interface SecondFactor {
  /** For everybody, also where nobody can be asked: what is needed. One line. */
  notice: string
  /** Stands before the answer, which is not shown as it is typed. */
  prompt: string
  /** @throws bad_credentials where another answer may do, which is asked for; anything else ends the login */
  check(answer: string): Promise<void>
}

/** Wrong answers before the connection ends; stock clients ask no more often either (NumberOfPasswordPrompts). */
const maxAnswers = 3
const maxAnswerBytes = 64

export interface SecondFactorExchange {
  /** A keyboard-interactive request came: asks. Whatever was asked before is void. */
  ask(): void
  /**
   * An answer came.
   * @returns undefined when it is right, else why not, and whether it may be tried again
   * @throws protocol_error when nothing was asked
   */
  receive(payload: Buffer): Promise<{error: SallyportError; again: boolean} | undefined>
  /** Whether an answer is awaited. */
  readonly asked: boolean
}

/** The server's half of keyboard-interactive, for one question. */
export function secondFactorExchange(
  transport: Pick<Transport, 'send'>,
  {prompt, check}: SecondFactor,
): SecondFactorExchange {
  let asked = false
  let left = maxAnswers
  let instruction = ''
  return {
    get asked() {
      return asked
    },
    ask() {
      asked = true
      const question = new WireWriter()
        .u8(message.userauthInfoRequest)
        .string('')
        .string(instruction)
        .string('')
      transport.send(question.u32(1).string(prompt).bool(false).finish())
    },
    async receive(payload) {
      asked = false
      try {
        await check(readAnswer(payload))
        return undefined
      } catch (thrown) {
        const error = asProblem(thrown)
        instruction = error.message
        return {error, again: error.code === 'bad_credentials' && --left > 0}
      }
    },
  }
}

/** The one answer; what is none cannot be right, and counts as a try all the same. */
function readAnswer(payload: Buffer): string {
  const reader = new WireReader(payload.subarray(1))
  const answers = Array.from({length: Math.min(reader.u32(), 2)}, () => reader.string())
  const [answer] = answers
  return answers.length === 1 && answer && answer.length <= maxAnswerBytes ? answer.toString('utf8') : ''
}
