import {readFile} from 'node:fs/promises'
import {isAbsolute} from 'node:path'
import {
  type ClusterClient,
  createClusterClient,
  type HostCertificates,
  type JoinRole,
  joinCluster,
  type SystemApi,
} from '../auth/index.js'
import {asProblem, problem, problemLine, type SallyportError} from '../errors/index.js'
import type {AuthLink} from './auth-link.js'
import {
  currentCertificate,
  keepIdentity,
  loadIdentity,
  type MachineIdentity,
  publicKeyOf,
} from './machine-identity.js'
import {withOutbox} from './outbox-part.js'
import type {Part} from './part.js'

const hour = 3_600_000
/** A certificate lives for 90 days, see `machineTtlMilliseconds`: a third of them is over. */
const renewBeforeMilliseconds = 60 * 24 * hour

/**
 * The auth service on another machine. Joins its cluster where this machine has not yet, or not in all of its roles; what
 * it gets for that is kept.
 * @throws config_invalid, tls_untrusted, unavailable, token_invalid, access_denied
 */
export async function openRemoteAuth(part: Part): Promise<AuthLink> {
  const {config, resources, now} = part
  const roles = config.roles.filter(role => role !== 'auth')
  if (config.joining.authServers.length === 0)
    throw problem('config_invalid', 'nobody said where the auth service is', {
      hint: 'name it with --auth-server or auth_servers, or run it here too: --roles=auth,proxy',
    })
  const identity = createIdentity(part, await joined(part, roles))
  const clients = new Map<JoinRole, ClusterClient>()
  const clientFor = (role: JoinRole): ClusterClient => {
    const known = clients.get(role)
    if (known) return known
    const client = createClusterClient({
      servers: config.joining.authServers,
      credentials: () => identity.credentials(role),
      now,
    })
    clients.set(role, client)
    resources.add(`connection to auth as ${role}`, client.close)
    return client
  }
  const stop = keepRenewed(part, identity, roles, role => clientFor(role).api)
  resources.add('renewal of certificates', stop)
  const first = clientFor(roles[0] as JoinRole)
  const {clusterName, recording} = await first.api.ping()
  const apis = new Map<JoinRole, SystemApi>()
  for (const role of roles) apis.set(role, await withOutbox(part, role, clientFor(role).api, recording))
  return {
    cluster: {
      ...{clusterName, recording},
      checkHostKeys: config.auth.proxyChecksHostKeys,
      keepAliveMilliseconds: config.auth.keepAliveIntervalMs,
    },
    as: role => apis.get(role) ?? clientFor(role).api,
    web: {as: ({address}) => clientFor('proxy').anonymous(address)},
    announce(webUrl) {
      clientFor('proxy')
        .api.announceProxy({webUrl})
        .catch(error =>
          part.logger.warn(
            {error: problemLine(asProblem(error))},
            'the auth service was not told of the web port',
          ),
        )
    },
    serveApi(stream, _caller, proof) {
      clientFor('proxy')
        .passOn(stream, proof)
        .catch(error => {
          part.logger.info({error: problemLine(asProblem(error))}, 'a user was not passed on')
          stream.destroy()
        })
    },
  }
}

interface KeptIdentity {
  credentials(role: JoinRole): {
    own: {key: string; certificate: string}
    authorities: string[]
    clusterName: string
  }
  current(): MachineIdentity
  take(answer: HostCertificates): Promise<void>
}

function createIdentity({config}: Part, first: MachineIdentity): KeptIdentity {
  let identity = first
  return {
    current: () => identity,
    credentials(role) {
      const certificate = identity.certificates.find(one => one.role === role)?.certificate ?? ''
      const {key, authorities, clusterName = ''} = identity
      return {own: {key, certificate}, authorities, clusterName}
    },
    async take(answer) {
      identity = withAnswer(identity, answer)
      await keepIdentity(config.dataDir, identity)
    },
  }
}

const withAnswer = (
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

/** The identity with a certificate for each of the roles. */
async function joined({config, hostId, now}: Part, roles: readonly JoinRole[]): Promise<MachineIdentity> {
  const identity = await loadIdentity(config.dataDir)
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
  const text = await readFile(given, 'utf8').catch(cause => {
    throw problem('config_invalid', `the file with the join token, ${given}, cannot be read`, {
      hint: 'name a readable file with --token, or the token itself',
      cause,
    })
  })
  if (text.length <= maxTokenBytes && text.trim() !== '') return text.trim()
  throw problem('config_invalid', `the file ${given} holds no join token`)
}

/** Looks once an hour, and at once, whether a certificate should be renewed. Returns how to stop. */
function keepRenewed(
  {logger, now}: Part,
  identity: KeptIdentity,
  roles: readonly JoinRole[],
  api: (role: JoinRole) => ClusterClient['api'],
): () => void {
  const renew = async (): Promise<void> => {
    for (const role of roles) {
      if (currentCertificate(identity.current(), role, now() + renewBeforeMilliseconds) !== undefined)
        continue
      await identity.take(await api(role).renewHostCertificates({publicKey: publicKeyOf(identity.current())}))
      logger.info({role}, 'the certificate of this machine was renewed')
    }
  }
  const attempt = (): void =>
    void renew().catch((error: SallyportError) =>
      logger.warn({error: problemLine(asProblem(error))}, 'the certificate of this machine is not renewed'),
    )
  const timer = setInterval(attempt, hour).unref()
  attempt()
  return () => clearInterval(timer)
}
