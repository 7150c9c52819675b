import type {Duplex} from 'node:stream'
import type {AuditInput} from '../audit/event.js'
import {asProblem, problemLine} from '../errors/index.js'
import type {ForwarderWord} from '../session/index.js'
import type {Certificate} from '../sshcert/index.js'
import {type AgentCredentials, credentialsFromAgent} from './credentials.js'
import {connectTarget, type TargetConnection} from './target.js'
import type {ForwardSettings, Target} from './types.js'

export interface TargetLinkOptions {
  settings: ForwardSettings
  target: Target
  login: string
  /** The certificate the client came in with. */
  certificate: Certificate
  /** What a node of ours has to be told before the login. */
  word: ForwarderWord | undefined
  openAgent(): Promise<Duplex>
  emit(input: AuditInput): Promise<unknown>
  /** Resolves when the client has gone. */
  abandoned: Promise<unknown>
  /** In the turn in which the connection is there. */
  onConnected(reached: TargetConnection): void
}

/** The one connection to the target behind all channels of a client; made when first needed. */
export interface TargetLink {
  /** Every call gets the same connection, or the same refusal. */
  reach(): Promise<TargetConnection>
  /** Somebody has asked for it already, so it is settled whose agent signs. */
  readonly asked: boolean
}

export function createTargetLink(options: TargetLinkOptions): TargetLink {
  let connecting: Promise<TargetConnection> | undefined
  return {
    get asked() {
      return connecting !== undefined
    },
    reach() {
      connecting ??= connectOnce(options)
      return connecting
    },
  }
}

async function connectOnce(options: TargetLinkOptions): Promise<TargetConnection> {
  const {emit} = options
  const reached = await connect(options).catch(async error => {
    // An audit log that cannot be written must not hide from the user why the target was not reached.
    const report = {event: 'session.connect', success: false, error: problemLine(asProblem(error))} as const
    await emit(report).catch(lost => {
      const fields = {event: report.event, error: problemLine(asProblem(lost))}
      options.settings.log.warn(fields, 'audit event lost')
    })
    throw error
  })
  try {
    await emit({event: 'session.connect', server_addr: reached.address})
    return reached
  } catch (error) {
    reached.connection.disconnect()
    throw error
  }
}

async function connect(options: TargetLinkOptions): Promise<TargetConnection> {
  const {settings, target, login} = options
  let agent: AgentCredentials | undefined
  const credentials = async (): Promise<AgentCredentials['credentials']> => {
    const {user} = await settings.auth.trustedAuthorities()
    const {certificate: own} = options
    agent = await credentialsFromAgent(options.openAgent, {
      ...{own, login},
      authorities: user,
      now: settings.now(),
    })
    return agent.credentials
  }
  try {
    const wish = {login, credentials, word: options.word}
    const reached = await connectTarget(settings, target, wish, options.abandoned)
    options.onConnected(reached)
    return reached
  } finally {
    agent?.close()
  }
}
