import {problem} from '../errors/index.js'

/** NIST SP 800-63B asks for 8; twelve is what SPEC-minded administrators expect. The upper bound limits hashing. */
export const passwordLength = {min: 12, max: 128} as const

/** OWASP's first choice for argon2id: 19 MiB, two passes, one lane. */
const argonOptions = {memoryCost: 19_456, timeCost: 2, parallelism: 1} as const

/** Hashes running or waiting at once; each holds 19 MiB while it runs and a thread of the pool. */
const maxQueued = 32
const maxRunning = 2

export interface Passwords {
  /** @throws invalid_input for a password that may not be chosen; rate_limited */
  hash(password: string): Promise<string>
  /** Does the same work whether or not there is a hash. @throws rate_limited */
  verify(hash: string | undefined, password: string): Promise<boolean>
}

/** Argon2id with a bounded queue, on the thread pool: live sessions never wait for a login. */
export function createPasswords(): Passwords {
  const run = createQueue(maxRunning, maxQueued)
  let dummy: Promise<string> | undefined
  const load = () => import('@node-rs/argon2')
  const hash = async (password: string): Promise<string> => (await load()).hash(password, argonOptions)
  return {
    async hash(password) {
      checkPassword(password)
      return run(() => hash(password))
    },
    async verify(stored, password) {
      // A password that could never have been set costs as much as one that could; its length is bounded first.
      const candidate = password.slice(0, passwordLength.max)
      dummy ??= hash('a password that nobody has')
      const against = stored ?? (await dummy)
      const matches = await run(async () => (await load()).verify(against, candidate))
      return matches && stored !== undefined && password.length <= passwordLength.max
    },
  }
}

/** @throws invalid_input */
export function checkPassword(password: string): void {
  const {min, max} = passwordLength
  if (password.length >= min && password.length <= max) return
  throw problem('invalid_input', `a password must have ${min} to ${max} characters`)
}

/** Runs at most `running` jobs at once and keeps at most `queued` waiting. */
export function createQueue(
  running: number,
  queued: number,
): <Result>(job: () => Promise<Result>) => Promise<Result> {
  const waiting: (() => void)[] = []
  let active = 0
  return async job => {
    if (waiting.length >= queued) {
      throw problem('rate_limited', 'too many logins at once', {hint: 'try again in a few seconds'})
    }
    if (active >= running) await new Promise<void>(resolve => waiting.push(resolve))
    else active++
    try {
      return await job()
    } finally {
      const next = waiting.shift()
      if (next) next()
      else active--
    }
  }
}
