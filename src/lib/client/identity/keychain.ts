import {fork} from 'node:child_process'
import {programPath} from '../../children/index.js'
import {problem} from '../../errors/index.js'

/** A keychain that has not answered by then waits for a person, or for nobody. */
const keychainTimeoutMs = 3000
const service = 'sallyport'

/** The secrets that the operating system keeps for its user. Every method throws `unavailable`. */
export interface Keychain {
  set(account: string, secret: string): Promise<void>
  get(account: string): Promise<string | undefined>
  /** Deleting what is not there is no error. */
  delete(account: string): Promise<void>
}

export interface KeychainRequest {
  operation: 'get' | 'set' | 'delete'
  service: string
  account: string
  secret?: string
}

export type KeychainAnswer = {secret: string | null} | {error: string}

/**
 * The keychain of macOS, Windows, or the Secret Service of a Linux desktop. Each call has a process of its own: the
 * native library blocks the thread that calls it, and a blocked one cannot be ended any other way. Secrets go over
 * the IPC channel, never through arguments or environment.
 */
export function systemKeychain(
  timeoutMs = keychainTimeoutMs,
  env: NodeJS.ProcessEnv = process.env,
): Keychain {
  const call = (request: Omit<KeychainRequest, 'service'>) => inChild({...request, service}, timeoutMs, env)
  return {
    async set(account, secret) {
      await call({operation: 'set', account, secret})
    },
    get: async account => (await call({operation: 'get', account})) ?? undefined,
    async delete(account) {
      await call({operation: 'delete', account})
    },
  }
}

function inChild(
  request: KeychainRequest,
  timeoutMs: number,
  env: NodeJS.ProcessEnv,
): Promise<string | null> {
  return new Promise((resolve, reject) => {
    const child = fork(programPath('client/identity/keychain-process'), {
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
      env,
    })
    const settle = (act: () => void) => {
      clearTimeout(timer)
      child.removeAllListeners()
      child.kill('SIGKILL')
      act()
    }
    const fail = (why: string, cause?: unknown) =>
      settle(() => reject(problem('unavailable', `the keychain cannot be used: ${why}`, {cause})))
    const timer = setTimeout(() => fail(`no answer in ${timeoutMs / 1000} s`), timeoutMs)
    child.once('error', error => fail(error.message, error))
    child.once('exit', () => fail('it is not supported here'))
    child.once('message', (answer: KeychainAnswer) => {
      if ('error' in answer) fail(plainWords(answer.error), new Error(answer.error))
      else settle(() => resolve(answer.secret))
    })
    child.send(request)
  })
}

/** On a server there is no desktop that keeps secrets; the library says so in the words of D-Bus. */
const plainWords = (words: string): string =>
  /d-?bus/i.test(words) ? 'no Secret Service (gnome-keyring, KWallet) answers in this session' : words
