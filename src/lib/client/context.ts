import {clientHome} from './home.js'
import {type Keychain, systemKeychain} from './identity/keychain.js'

/** What a command of a user works with. */
export interface ClientContext {
  home: string
  keychain: Keychain
  /** The running ssh-agent's socket; undefined where there is none or it is not to be used. */
  agentSocket: string | undefined
}

/** The context of this process. @param useAgent false with `--no-use-local-ssh-agent` */
export const clientContext = (useAgent: boolean, env: NodeJS.ProcessEnv = process.env): ClientContext => ({
  home: clientHome(env),
  keychain: systemKeychain(undefined, env),
  agentSocket: useAgent ? env.SSH_AUTH_SOCK || undefined : undefined,
})
