import type {KeyObject} from 'node:crypto'
import {type AgentClient, type AgentIdentity, connectAgent, isCertificateBlob} from '../../agent/index.js'
import {asProblem, problem} from '../../errors/index.js'
import {parseCertificate, publicKeyBlob} from '../../sshcert/index.js'

/** Our entries are known by their comment: those of other clusters and of the user are never touched. */
const agentComment = (cluster: string, user: string): string => `sallyport:${cluster}:${user}`

export interface AgentKey {
  cluster: string
  user: string
  privateKey: KeyObject
  certificate: Buffer
}

/**
 * Puts a certificate with its key into the agent at `socket` until the certificate ends, in place of an older one of
 * the same cluster and user. The plain key is not added beside it: every entry costs one of a server's MaxAuthTries.
 * @param now Unix ms
 * @throws unavailable, timeout; agent_required when the agent does not hold certificates
 */
export async function addToAgent(socket: string, key: AgentKey, now: number): Promise<void> {
  const {privateKey, certificate, cluster, user} = key
  const comment = agentComment(cluster, user)
  const lifetimeSeconds = Number(parseCertificate(certificate).validBefore) - Math.floor(now / 1000)
  await withAgent(socket, async agent => {
    const older = (await agent.list()).filter(identity => isOurs(identity, comment))
    await agent.add({privateKey, certificate, comment, lifetimeSeconds}).catch(error => {
      throw cannotHold(socket, error)
    })
    const held = await agent.list()
    if (!held.some(({blob}) => blob.equals(certificate))) {
      // Some agents say yes and keep the key alone, which no server of ours takes.
      const plain = publicKeyBlob(privateKey)
      if (held.some(({blob}) => blob.equals(plain))) await agent.remove(plain)
      throw cannotHold(socket)
    }
    for (const {blob} of older) if (!blob.equals(certificate)) await agent.remove(blob)
  })
}

/** Takes every certificate of this cluster and user out of the agent; says how many there were. */
export const removeFromAgent = (socket: string, cluster: string, user: string): Promise<number> =>
  withAgent(socket, async agent => {
    const ours = (await agent.list()).filter(identity => isOurs(identity, agentComment(cluster, user)))
    for (const {blob} of ours) await agent.remove(blob)
    return ours.length
  })

const isOurs = ({blob, comment}: AgentIdentity, expected: string): boolean =>
  comment === expected && isCertificateBlob(blob)

const cannotHold = (socket: string, cause?: unknown) => {
  const reason = cause === undefined ? 'it cannot hold certificates' : asProblem(cause).message
  return problem('agent_required', `the ssh-agent at ${socket} did not take the certificate: ${reason}`, {
    hint: "gnome-keyring and gpg-agent cannot; use OpenSSH's ssh-agent for stock ssh clients",
    cause,
  })
}

async function withAgent<T>(socket: string, work: (agent: AgentClient) => Promise<T>): Promise<T> {
  const agent = await connectAgent(socket)
  try {
    return await work(agent)
  } finally {
    agent.close()
  }
}
