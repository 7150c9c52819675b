import type {Duplex} from 'node:stream'
import {
  type AgentClient,
  type AgentIdentity,
  agentOver,
  agentSigner,
  isCertificateBlob,
} from '../agent/index.js'
import {asProblem, problem, type SallyportError} from '../errors/index.js'
import type {Credential} from '../ssh/index.js'
import {type Certificate, parseCertificate, type Signer} from '../sshcert/index.js'

/** sshd gives up after six by default, and other keys of the user's may be refused before ours. */
const maxCredentials = 3

export interface AgentCredentials {
  credentials: Credential[]
  close(): void
}

export interface CredentialWish {
  /** The certificate the client came in with. */
  own: Certificate
  login: string
  /** Plain public key blobs of the user CA. */
  authorities: readonly Buffer[]
  /** Unix milliseconds. */
  now: number
}

/**
 * The certificates in the client's agent that may open the target: of the user who came in, signed by the user CA,
 * valid now and for this login; the very one the user came in with first. Other keys are not even looked at, so an
 * agent full of keys cannot exhaust MaxAuthTries, and nobody appears on a host under another name than on record.
 * @throws agent_required
 */
export async function credentialsFromAgent(
  open: () => Promise<Duplex>,
  wish: CredentialWish,
): Promise<AgentCredentials> {
  const agent = agentOver(await openAgent(open))
  try {
    const identities = await agent.list().catch(error => {
      throw agentProblem(error)
    })
    return {credentials: pickCredentials(agent, identities, wish), close: () => agent.close()}
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

/** Whatever an agent does wrong is about the agent, not about the target. */
const agentProblem = (error: unknown): SallyportError => {
  const known = asProblem(error)
  if (known.code === 'agent_required') return known
  return problem('agent_required', `the forwarded agent cannot be used: ${known.message}`, {cause: error})
}

interface Held {
  identity: AgentIdentity
  certificate: Certificate
}

function pickCredentials(
  agent: AgentClient,
  identities: readonly AgentIdentity[],
  wish: CredentialWish,
): Credential[] {
  const ours = identities.flatMap(identity => heldCertificate(identity, wish.authorities))
  if (ours.length === 0) {
    throw problem('agent_required', 'the forwarded agent holds no certificate of this cluster', {
      hint: 'log in with `sallyport login` and check with `ssh-add -L`',
    })
  }
  const fit = ours.filter(held => fits(held, wish))
  if (fit.length === 0) {
    const who = `${wish.own.keyId} for the login ${wish.login}`
    throw problem('agent_required', `the forwarded agent holds no valid certificate of ${who}`, {
      hint: 'log in again with `sallyport login` and check with `ssh-add -L`',
    })
  }
  const isOwn = ({identity}: Held): boolean => identity.blob.equals(wish.own.blob)
  return [...fit.filter(isOwn), ...fit.filter(held => !isOwn(held))]
    .slice(0, maxCredentials)
    .map(({identity}) => ({blob: identity.blob, signer: explaining(agentSigner(agent, identity))}))
}

function heldCertificate(identity: AgentIdentity, authorities: readonly Buffer[]): Held[] {
  try {
    if (!isCertificateBlob(identity.blob)) return []
    const certificate = parseCertificate(identity.blob)
    const trusted = authorities.some(authority => authority.equals(certificate.authority))
    return certificate.kind === 'user' && trusted ? [{identity, certificate}] : []
  } catch {
    // Keys of types we do not know are none of our business.
    return []
  }
}

function fits({certificate}: Held, {own, login, now}: CredentialWish): boolean {
  const seconds = BigInt(Math.floor(now / 1000))
  return (
    certificate.keyId === own.keyId &&
    certificate.principals.includes(login) &&
    certificate.validBefore > seconds &&
    // What the user came in with may do one thing alone; another certificate would lead round that.
    certificate.criticalOptions.get('force-command') === own.criticalOptions.get('force-command')
  )
}

const explaining = ({sign}: Pick<Signer, 'sign'>): Pick<Signer, 'sign'> => ({
  sign: (data, algorithm) =>
    sign(data, algorithm).catch(error => {
      throw agentProblem(error)
    }),
})
