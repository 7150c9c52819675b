import type {Duplex} from 'node:stream'
import {
  type AgentClient,
  type AgentIdentity,
  agentOver,
  agentSigner,
  isCertificateBlob,
} from '../agent/index.js'
import {problem} from '../errors/index.js'
import type {Credential} from '../ssh/index.js'
import {type Certificate, parseCertificate} from '../sshcert/index.js'

/** sshd gives up after six by default, and other keys of the user's may be refused before ours. */
const maxCredentials = 3

export interface AgentCredentials {
  credentials: Credential[]
  close(): void
}

/**
 * The certificates in the user's agent that may open the target: signed by the user CA, those over the key the user
 * came in with first. Other keys are not even looked at, so an agent full of keys cannot exhaust MaxAuthTries.
 * @throws agent_required
 */
export async function credentialsFromAgent(
  open: () => Promise<Duplex>,
  own: Certificate,
  authorities: readonly Buffer[],
): Promise<AgentCredentials> {
  const agent = agentOver(await openAgent(open))
  try {
    const identities = (await agent.list()).filter(identity => isOurs(identity, authorities))
    if (identities.length === 0) {
      throw problem('agent_required', 'the forwarded agent holds no certificate of this cluster', {
        hint: 'log in with `sallyport login` and check with `ssh-add -L`',
      })
    }
    return {credentials: toCredentials(agent, identities, own), close: () => agent.close()}
  } catch (error) {
    agent.close()
    throw error
  }
}

async function openAgent(open: () => Promise<Duplex>): Promise<Duplex> {
  try {
    return await open()
  } catch (cause) {
    throw problem('agent_required', 'agent forwarding required in proxy recording mode', {
      hint: 'connect with `ssh -A` (ForwardAgent yes) or with `sallyport ssh`',
      cause,
    })
  }
}

function isOurs({blob}: AgentIdentity, authorities: readonly Buffer[]): boolean {
  try {
    if (!isCertificateBlob(blob)) return false
    const certificate = parseCertificate(blob)
    return (
      certificate.kind === 'user' && authorities.some(authority => authority.equals(certificate.authority))
    )
  } catch {
    // Keys of types we do not know are none of our business.
    return false
  }
}

function toCredentials(agent: AgentClient, identities: AgentIdentity[], own: Certificate): Credential[] {
  const isOwn = ({blob}: AgentIdentity): boolean => blob.equals(own.blob)
  return [...identities.filter(isOwn), ...identities.filter(identity => !isOwn(identity))]
    .slice(0, maxCredentials)
    .map(identity => ({blob: identity.blob, signer: agentSigner(agent, identity)}))
}
