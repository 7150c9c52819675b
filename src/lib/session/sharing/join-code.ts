import {asProblem, problem, type SallyportError} from '../../errors/index.js'
import type {Channel} from '../../ssh/index.js'
import type {CodeCheck} from '../door/second-factor.js'

const maxCodes = 3
const maxLine = 64
/** As for whoever is asked at the beginning of a connection. */
const typingMilliseconds = 120_000
const ctrlC = 0x03

/**
 * Asks whoever joins a session for a second factor: on the channel, for the connection itself has begun without knowing
 * where it leads. Nothing typed is shown.
 * @throws cancelled, timeout, and what the check says in the end
 */
export async function askCode(channel: Channel, check: CodeCheck): Promise<void> {
  const lines = typedLines(channel)
  try {
    for (let left = maxCodes; ; left--) {
      channel.stderr.write('sallyport: type the code of your authenticator app, and Enter\r\n')
      const failure = await check(await lines.next()).then(
        () => undefined,
        (thrown: unknown) => asProblem(thrown),
      )
      if (!failure) return
      if (failure.code !== 'bad_credentials' || left === 1) throw failure
      channel.stderr.write(`sallyport: ${failure.message}\r\n`)
    }
  } finally {
    lines.close()
  }
}

interface TypedLines {
  /** @throws cancelled, timeout */
  next(): Promise<string>
  close(): void
}

function typedLines(channel: Channel): TypedLines {
  let rest = ''
  let waiting: {resolve(line: string): void; reject(error: SallyportError): void} | undefined
  let over: SallyportError | undefined
  const end = (error: SallyportError): void => {
    over ??= error
    waiting?.reject(over)
  }
  const take = (data: Buffer): void => {
    if (data.includes(ctrlC)) return end(nobodyTyped())
    rest += data.toString('latin1')
    if (rest.length > maxLine) return end(problem('invalid_input', 'this is no code'))
    const [line, ...more] = rest.split(/[\r\n]+/)
    if (line === undefined || more.length === 0 || !waiting) return
    rest = more.join('\n')
    waiting.resolve(line)
    waiting = undefined
  }
  const ended = (): void => end(nobodyTyped())
  const timer = setTimeout(() => end(problem('timeout', 'no code came in time')), typingMilliseconds)
  channel.on('data', take)
  channel.on('end', ended)
  channel.on('close', ended)
  return {
    next() {
      if (over) return Promise.reject(over)
      const line = new Promise<string>((resolve, reject) => {
        waiting = {resolve, reject}
      })
      take(Buffer.alloc(0))
      return line
    },
    close() {
      clearTimeout(timer)
      channel.off('data', take)
      channel.off('end', ended)
      channel.off('close', ended)
    },
  }
}

const nobodyTyped = (): SallyportError =>
  problem('cancelled', 'joining a session needs a code of your authenticator app', {
    hint: 'join it from a terminal',
  })
