import type {Socket} from 'node:net'
import {namesOf} from '../access/index.js'
import type {JoinRole, SystemApi} from '../auth/index.js'
import {createRetries} from '../durable/index.js'
import {asProblem, problem, problemLine, type SallyportError} from '../errors/index.js'
import type {Address} from '../names/index.js'
import {DAY_MS, HOUR_MS} from '../names/index.js'
import {type AuthLink, dial} from './auth-link.js'
import {joined} from './identity/joined.js'
import {createIdentity, type KeptIdentity} from './identity/kept-identity.js'
import {currentCertificate, publicKeyOf} from './identity/machine-identity.js'
import type {Part} from './parts/part.js'
import {openRole, type RoleLink} from './role-link.js'

/** A certificate lives for 90 days, see `machineTtlMilliseconds`: a third of them is over. */
const renewBeforeMilliseconds = 60 * DAY_MS
/**
 * The auth service on another machine. Joins its cluster where this machine has not yet, or not in all of its roles; what
 * it gets for that is kept. While it is away, what is known of the cluster counts, and what it has to be told waits on
 * disk.
 * @throws config_invalid, tls_untrusted, unavailable, token_invalid, access_denied
 */
export async function openRemoteAuth(part: Part): Promise<AuthLink> {
  const {config, logger, resources} = part
  const roles = config.roles.filter(role => role !== 'auth')
  if (config.joining.authServers.length === 0)
    throw problem('config_invalid', 'nobody said where the auth service is', {
      hint: 'name it with --auth-server or auth_servers, or run it here too: --roles=auth,proxy',
    })
  const identity = createIdentity(part, await joined(part, roles))
  const links = new Map<JoinRole, RoleLink>()
  for (const role of roles) links.set(role, await openRole(part, identity, role))
  const untold = createRetries({
    onProblem: error =>
      logger.warn({error: problemLine(asProblem(error))}, 'the auth service was not told of the web port'),
  })
  resources.add('what the auth service has to be told', untold.close)
  const linkOf = (role: JoinRole): RoleLink => {
    const link = links.get(role)
    if (!link) throw problem('internal', `this process is no ${role}`)
    return link
  }
  resources.add(
    'renewal of certificates',
    keepRenewed(part, identity, roles, role => linkOf(role).api),
  )
  const {clusterName, recording, checkHostKeys, keepAliveMilliseconds} = linkOf(
    roles[0] as JoinRole,
  ).follower.state()
  return {
    cluster: {clusterName, recording, checkHostKeys, keepAliveMilliseconds},
    as: role => linkOf(role).api,
    recording: role => linkOf(role).follower.state().recording,
    beginning: role => {
      const {hostKeys, knownLocks} = linkOf(role)
      return {hostKeys, ...(knownLocks && {knownLocks})}
    },
    web: {as: ({address}) => linkOf('proxy').client.anonymous(address)},
    hostNames: () => linkOf('proxy').follower.state().hosts.map(namesOf),
    announce(webUrl) {
      void untold.add(() => linkOf('proxy').api.announceProxy({webUrl}))
    },
    async dialAuth(address) {
      const socket = await dialFirst(config.joining.authServers)
      try {
        await linkOf('proxy').api.vouchConnection({port: socket.localPort ?? 0, address})
        return socket
      } catch (error) {
        socket.destroy()
        throw error
      }
    },
    serveApi(stream, _caller, proof) {
      linkOf('proxy')
        .client.passOn(stream, proof)
        .catch(error => {
          logger.info({error: problemLine(asProblem(error))}, 'a user was not passed on')
          stream.destroy()
        })
    },
  }
}

async function dialFirst(servers: readonly Address[]): Promise<Socket> {
  let failure: unknown
  for (const server of servers) {
    try {
      return await dial(server)
    } catch (error) {
      failure = error
    }
  }
  throw failure
}

/** Looks once an hour, and at once, whether a certificate should be renewed. Returns how to stop. */
function keepRenewed(
  {logger, now}: Part,
  identity: KeptIdentity,
  roles: readonly JoinRole[],
  api: (role: JoinRole) => SystemApi,
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
  const timer = setInterval(attempt, HOUR_MS).unref()
  attempt()
  return () => clearInterval(timer)
}
