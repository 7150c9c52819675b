import {noSuchHost} from '../access/route.js'
import type {AccessDecision, Identity} from '../access/types.js'
import type {AuditInput} from '../audit/event.js'
import {problem, type SallyportError} from '../errors/index.js'
import type {Target} from '../forward/index.js'
import type {Channel} from '../ssh/index.js'
import type {ProxyContext} from './context.js'
import {passThrough} from './passage.js'

export interface UnrecordedOptions {
  context: ProxyContext
  identity: Identity
  /** The certificate is good from the client's address alone. */
  pinned: boolean
  target: Target
  openChannel: () => Channel
  emit(input: AuditInput): Promise<unknown>
  /** Says the last word on the channel, and closes it. */
  farewell(channel: Channel, error: SallyportError): void
}

/**
 * Leads a client to a host and passes on bytes that nobody here can read. Which login they are for is between client and
 * host, so any login of the certificate may open the way, and a lock on any of them shuts it.
 */
export async function passUnrecorded(options: UnrecordedOptions): Promise<void> {
  const {context, identity, target} = options
  const {auth, guard, forwarders: running, log, now} = context
  const allowed = await decide(context, identity, target)
  const fields = {session_recording: context.mode}
  const {checkHostKeys} = context.forwardSettings
  const hostAuthorities = checkHostKeys ? async () => (await auth.trustedAuthorities()).host : undefined
  await passThrough({...{guard, running, log, now}, ...options, options: allowed, fields, hostAuthorities})
}

type Allowed = Extract<AccessDecision, {allowed: true}>

/** @throws access_denied where no login of the certificate may go to the host */
async function decide(
  {auth}: ProxyContext,
  identity: Identity,
  {host, registered, cluster}: Target,
): Promise<Allowed['options']> {
  let reason: string | undefined
  for (const login of identity.logins) {
    const decision = await auth.decide({
      ...{identity, login, host},
      ...(registered && {hostId: registered.id}),
      ...(cluster && {cluster: cluster.name}),
    })
    if (decision.allowed) return decision.options
    if (decision.hidden) throw noSuchHost(host, decision.reason)
    reason ??= decision.reason
  }
  throw problem('access_denied', `access to ${host} denied: ${reason ?? 'the certificate is for no login'}`)
}
