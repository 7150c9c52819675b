import {isAbsolute} from 'node:path'
import {type HostCertificates, type JoinRole, joinCluster} from '../../auth/index.js'
import {readSmallFile} from '../../durable/index.js'
import {asProblem, problem} from '../../errors/index.js'
import type {Part} from '../parts/part.js'
import {
  currentCertificate,
  keepIdentity,
  loadMachineIdentity,
  type MachineIdentity,
  publicKeyOf,
} from './machine-identity.js'

/**
 * The identity of this machine with a certificate for each of the roles; joins the cluster for those it lacks.
 * @throws config_invalid, tls_untrusted, unavailable, token_invalid, access_denied
 */
export async function joined(
  {config, hostId, now}: Part,
  roles: readonly JoinRole[],
): Promise<MachineIdentity> {
  const identity = await loadMachineIdentity(config.dataDir)
  const missing = roles.filter(role => currentCertificate(identity, role, now()) === undefined)
  if (missing.length === 0) return identity
  const request = {
    token: await readToken(config.joining.token, missing),
    ...{hostId, nodename: config.nodename, roles: [...missing], publicKey: publicKeyOf(identity)},
  }
  const {authServers, caPins: pins} = config.joining
  let failure: unknown
  for (const server of authServers) {
    try {
      const answer = await joinCluster({server, pins, insecure: config.insecure, request, now})
      const complete = withAnswer(identity, answer)
      await keepIdentity(config.dataDir, complete)
      return complete
    } catch (error) {
      failure = error
      // Another server may be up; a refusal is the same everywhere.
      if (asProblem(error).code !== 'unavailable') throw error
    }
  }
  throw failure
}

const maxTokenBytes = 4096

/** @throws config_invalid */
async function readToken(given: string | undefined, roles: readonly JoinRole[]): Promise<string> {
  if (given === undefined)
    throw problem('config_invalid', `this machine has not joined the cluster as ${roles.join(' and ')}`, {
      hint: `on the auth host run \`sallyport nodes add --roles=${roles.join(',')}\`, and here what it prints`,
    })
  if (!isAbsolute(given)) return given
  const text = await readSmallFile(given, {maxBytes: maxTokenBytes}).catch(cause => {
    if (asProblem(cause).code === 'limit_exceeded') throw noToken(given, cause)
    throw problem('config_invalid', `the file with the join token, ${given}, cannot be read`, {
      hint: 'name a readable file with --token, or the token itself',
      cause,
    })
  })
  if (text.trim() === '') throw noToken(given)
  return text.trim()
}

const noToken = (path: string, cause?: unknown) =>
  problem('config_invalid', `the file ${path} holds no join token`, {cause})

export const withAnswer = (
  identity: MachineIdentity,
  {clusterName, authorities, certificates}: HostCertificates,
): MachineIdentity => ({
  ...identity,
  ...{clusterName, authorities},
  certificates: [
    ...identity.certificates.filter(({role}) => !certificates.some(one => one.role === role)),
    ...certificates,
  ],
})
