import {isMissing, readSmallBytes} from '../durable/index.js'
import {asProblem, problem} from '../errors/index.js'
import {safe} from './text.js'

export interface PromptStreams {
  input: NodeJS.ReadStream
  /** Prompts go to stderr: stdout belongs to what the command answers. */
  output: NodeJS.WriteStream
}

export interface Question {
  message: string
  /** How a script gives the answer, for the error without a terminal: `--password-file` or `SALLYPORT_USER`. */
  otherwise: string
  /** Why an answer will not do, or true. The person is asked again. */
  validate?: (answer: string) => true | string
}

const terminal = (): PromptStreams => ({input: process.stdin, output: process.stderr})

/** Asks for a secret; nothing of it is shown. Throws `usage` where nobody can answer; Ctrl-C ends the process with 130. */
export const askPassword = (question: Question, streams = terminal()): Promise<string> =>
  ask('password', question, streams)

/** Asks for a secret twice, until both agree. */
export async function askNewPassword(question: Question, streams = terminal()): Promise<string> {
  for (;;) {
    const first = await ask('password', question, streams)
    const again = await ask('password', {...question, message: 'The same again'}, streams)
    if (first === again) return first
    streams.output.write('The two are not the same.\n')
  }
}

/** Asks for a six-digit one-time code; blanks in it are dropped. */
export async function askOtp(
  question: Pick<Question, 'otherwise'> & {message?: string},
  streams = terminal(),
): Promise<string> {
  const answer = await ask(
    'input',
    {
      message: question.message ?? 'One-time code',
      otherwise: question.otherwise,
      validate: code => /^\d{6}$/.test(code.replaceAll(' ', '')) || 'six digits are expected',
    },
    streams,
  )
  return answer.replaceAll(' ', '')
}

/**
 * Answers what a host asks, by asking the person at the terminal: that of the process where standard input is something
 * else, as with ssh. Throws `usage` where there is none.
 */
export async function answerAtTerminal(question: {
  instruction: string
  prompt: string
  echo: boolean
}): Promise<string> {
  const {streams, close} = await openStreams()
  try {
    if (question.instruction !== '') streams.output.write(`${safe(question.instruction)}\n`)
    const words = {message: question.prompt, otherwise: 'a terminal to type it at'}
    return await ask(question.echo ? 'input' : 'password', words, streams)
  } finally {
    close()
  }
}

async function openStreams(): Promise<{streams: PromptStreams; close(): void}> {
  if (process.stdin.isTTY && process.stderr.isTTY) return {streams: terminal(), close: () => undefined}
  try {
    const {openSync} = await import('node:fs')
    const {ReadStream, WriteStream} = await import('node:tty')
    const [input, output] = [
      new ReadStream(openSync('/dev/tty', 'r')),
      new WriteStream(openSync('/dev/tty', 'w')),
    ]
    return {
      streams: {input, output},
      close() {
        input.destroy()
        output.destroy()
      },
    }
  } catch {
    // Without a terminal, what is there says so.
    return {streams: terminal(), close: () => undefined}
  }
}

/** Asks yes or no; Enter alone is no. */
export async function confirm(question: Question, streams = terminal()): Promise<boolean> {
  return /^y(es)?$/i.test(
    (await ask('input', {...question, message: `${question.message} [y/N]`}, streams)).trim(),
  )
}

async function ask(
  type: 'input' | 'password',
  {message, otherwise, validate, ...rest}: Question & {default?: string},
  {input, output}: PromptStreams,
): Promise<string> {
  if (input.isTTY !== true || output.isTTY !== true)
    throw problem('usage', `cannot ask for "${safe(message)}" without a terminal`, {hint: `use ${otherwise}`})
  const {createPromptModule} = (await import('inquirer')).default
  const prompt = createPromptModule({input, output})
  try {
    const question = {
      name: 'answer' as const,
      message: safe(message),
      ...(validate ? {validate} : {}),
      ...rest,
    }
    const {answer} = await prompt(
      type === 'password'
        ? [{...question, type: 'password' as const}]
        : [{...question, type: 'input' as const}],
    )
    return String(answer)
  } catch (thrown) {
    if (thrown instanceof Error && thrown.name === 'ExitPromptError') throw await interrupted()
    throw thrown
  }
}

/** What a command ends with after Ctrl-C at a prompt: 128 + SIGINT, without a word. */
async function interrupted(): Promise<Error> {
  const {ExitError} = await import('@oclif/core/errors')
  return new ExitError(130)
}

const maxSecret = 64 * 1024

/**
 * A secret from a file, or from standard input for `-`; one line break at its end is dropped. Throws `usage` for a
 * file that cannot be read, an empty one, or one over 64 KiB.
 */
export async function readSecret(
  source: string,
  {stdin = process.stdin}: {stdin?: AsyncIterable<Uint8Array | string>} = {},
): Promise<string> {
  const name = source === '-' ? 'standard input' : safe(source)
  const bytes = await (source === '-' ? collect(stdin) : readSecretFile(source, name))
  if (bytes.length > maxSecret) throw tooLong(name)
  const secret = bytes.toString('utf8').replace(/\r?\n$/, '')
  if (secret === '') throw problem('usage', `${name} is empty`, {hint: 'it must hold the secret on one line'})
  return secret
}

const tooLong = (name: string, cause?: unknown) =>
  problem('usage', `${name} holds more than a secret (over 64 KiB)`, {hint: 'name the right file', cause})

async function collect(stream: AsyncIterable<Uint8Array | string>): Promise<Buffer> {
  const parts: Buffer[] = []
  let total = 0
  for await (const part of stream) {
    parts.push(Buffer.from(part))
    total += part.length
    if (total > maxSecret) break
  }
  return Buffer.concat(parts)
}

async function readSecretFile(path: string, name: string): Promise<Buffer> {
  try {
    return await readSmallBytes(path, {maxBytes: maxSecret})
  } catch (cause) {
    if (asProblem(cause).code === 'limit_exceeded') throw tooLong(name, cause)
    const reason = isMissing(cause) ? 'does not exist' : 'cannot be read'
    throw problem('usage', `${name} ${reason}`, {
      hint: 'name a readable file, or - for standard input',
      cause,
    })
  }
}
