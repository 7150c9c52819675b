import {problem} from '../../errors/index.js'

/** NIST SP 800-63B asks for 8; twelve is what SPEC-minded administrators expect. The upper bound limits hashing. */
const passwordLength = {min: 12, max: 128} as const

/** OWASP's first choice for argon2id: 19 MiB, two passes, one lane. */
const argonOptions = {memoryCost: 19_456, timeCost: 2, parallelism: 1} as const

/**
 * What a password is compared with where there is none to compare: of the same cost, and the hash of nothing. It is no
 * secret, and being made in advance it costs the first guess no more than the others.
 */
const nobodysHash = `$argon2id$v=19$m=${argonOptions.memoryCost},t=${argonOptions.timeCost},p=${argonOptions.parallelism}$${'A'.repeat(22)}$${'A'.repeat(43)}`

/** Keyboards write the same letter in different ways (RFC 8265 §4.2.2); NFC makes it the same password. */
const normalize = (password: string): string => password.normalize('NFC')

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
  const load = () => import('@node-rs/argon2')
  return {
    async hash(password) {
      checkPassword(password)
      return run(async () => (await load()).hash(normalize(password), argonOptions))
    },
    async verify(stored, password) {
      // One that could never have been set is not hashed at all, and would be right for nobody.
      if (!isPossible(password)) return false
      const matches = await run(async () => (await load()).verify(stored ?? nobodysHash, normalize(password)))
      return matches && stored !== undefined
    },
  }
}

/** Counts characters as people do; no character has over two UTF-16 units, so a megabyte is not even counted. */
function isPossible(password: string): boolean {
  const {min, max} = passwordLength
  if (password.length > 4 * max) return false
  const characters = [...normalize(password)].length
  return characters >= min && characters <= max
}

/** @throws invalid_input */
export function checkPassword(password: string): void {
  const {min, max} = passwordLength
  if (isPossible(password)) return
  throw problem('invalid_input', `a password must have ${min} to ${max} characters`)
}

/** Runs at most `running` jobs at once and keeps at most `queued` waiting. */
function createQueue(
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
