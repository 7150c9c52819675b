import type {Duplex} from 'node:stream'
import {problem} from '../errors/index.js'
import type {SshConnection} from '../ssh/index.js'
import {within} from '../waiting/index.js'
import type {Ingress} from './types.js'

/** Time for a session to come and offer its agent, when a port is asked for first. */
const patienceMilliseconds = 500

/**
 * Which of the client's agents signs. It is never looked for where it was not offered as long as there is another way:
 * OpenSSH takes an agent channel that it did not invite for an attack, and tells its user so.
 */
export interface AgentSource {
  open(): Promise<Duplex>
  /** The client offers an agent on the inner connection. */
  offer(): void
  /** A session has begun without offering one: there is nothing left to wait for. */
  settle(): void
  /** Resolves when it is known whose agent it will be. `ssh -R` asks for its port before its session says so. */
  settled(): Promise<void>
}

export function agentSource(ingress: Ingress, client: SshConnection): AgentSource {
  let inner = false
  let settle: () => void = () => undefined
  const settled = new Promise<void>(resolve => {
    settle = resolve
  })
  if (ingress.outerAgent === 'offered') settle()
  return {
    async open() {
      if (ingress.outerAgent === 'offered') return ingress.openAgent()
      if (inner) return client.openChannel('auth-agent@openssh.com')
      if (ingress.outerAgent === 'unknown') return ingress.openAgent()
      throw problem('agent_required', 'the client forwards no agent')
    },
    offer() {
      inner = true
      settle()
    },
    settle,
    async settled() {
      await within(patienceMilliseconds, Promise.race([settled, client.closed]), settle)
    },
  }
}
