import {createPublicKey, type KeyObject} from 'node:crypto'
import {problem, type SallyportError} from '../../errors/index.js'
import {DAY_MS, isUuid} from '../../names/index.js'
import type {AuthContext} from '../context.js'
import type {AuthApi, Caller, HostCertificates, JoinRequest, JoinRole} from '../contract.js'
import {joinedMachine} from './joined-machine.js'
import {type StoredMachine, sha256Hex} from './joining.js'
import {findToken, invalidToken, refusingGuesses, remoteAddress} from './token-use.js'

/**
 * Certificates of machines are renewed when a third of this is over. One that was away for longer than the rest needs a
 * new token.
 */
export const machineTtlMilliseconds = 90 * DAY_MS

/** Joining the cluster, and staying in it. */
export function joinMethods(
  context: AuthContext,
  caller: Caller,
): Pick<AuthApi, 'join' | 'renewHostCertificates'> {
  const {emit, joining} = context
  return {
    async join(request) {
      const {hostId, nodename, roles} = request
      const fields = {host_id: hostId.slice(0, 64), nodename: nodename.slice(0, 255), roles}
      return refusingGuesses(context, caller, 'instance.join', fields, async () => {
        const key = readKey(request.publicKey)
        const method = await enter(context, request, key)
        const answer = await certify(context, hostId, roles, key)
        await emit({event: 'instance.join', ...remoteAddress(caller), fields: {...fields, method}})
        return answer
      })
    },
    async renewHostCertificates({publicKey}) {
      const {hostId, role} = joinedMachine(caller)
      const key = readKey(publicKey)
      const known = await joining.machines.get(hostId)
      if (known && known.value.key !== keyId(key)) throw otherMachine()
      // A state that was restored from a backup may not know it yet: its certificate says that it has joined.
      const machine = known?.value ?? newMachine(context, hostId, key)
      const roles = [...new Set([...machine.roles, role])].sort()
      await (known
        ? joining.machines.replace(hostId, known.revision, {...machine, roles}, expiry(context))
        : joining.machines.create(hostId, {...machine, roles}, expiry(context)))
      return certify(context, hostId, [role], key)
    },
  }
}

const newMachine = ({now}: AuthContext, nodename: string, key: KeyObject): StoredMachine => ({
  ...{version: 1, key: keyId(key), nodename, joined: now(), roles: []},
})

const expiry = ({now}: AuthContext): number => now() + machineTtlMilliseconds

const otherMachine = (): SallyportError =>
  problem('access_denied', 'another machine has joined the cluster with this UUID', {
    hint: 'remove host_uuid from the data directory to join as a machine of its own',
  })

/**
 * Uses the token up and puts the machine down, in one step: of several attempts with one token one succeeds.
 * Resolves to how the machine was let in.
 */
async function enter(
  context: AuthContext,
  {token, hostId, nodename, roles}: JoinRequest,
  key: KeyObject,
): Promise<'token' | 'static'> {
  const {backend, joining} = context
  const found = await findToken(context, token)
  if (!found) throw invalidToken()
  const wrong = roles.find(role => !found.roles.includes(role))
  if (wrong !== undefined || roles.length === 0)
    throw problem(
      'access_denied',
      `this token is for ${found.roles.join(' and ')}, not for ${wrong ?? 'nothing'}`,
      {
        hint: `ask an administrator for one: sallyport tokens add --roles=${wrong ?? 'node'}`,
      },
    )
  checkMachine(hostId, nodename)
  const known = await joining.machines.get(hostId)
  if (known && known.value.key !== keyId(key)) throw otherMachine()
  const machine: StoredMachine = {
    ...newMachine(context, nodename, key),
    // Who comes again is no newcomer to the names of others.
    ...(known && {joined: known.value.joined}),
    roles: [...new Set([...(known?.value.roles ?? []), ...roles])].sort(),
  }
  const written = await backend.transaction([
    ...(found.use ? [found.use] : []),
    known
      ? joining.machines.replacing(hostId, known.revision, machine, expiry(context))
      : joining.machines.creating(hostId, machine, expiry(context)),
  ])
  if (written === undefined) throw invalidToken()
  return found.use ? 'token' : 'static'
}

function checkMachine(hostId: string, nodename: string): void {
  if (!isUuid(hostId)) throw problem('invalid_input', 'a machine is known by a UUID in small letters')
  if (!/^[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$/.test(nodename))
    throw problem(
      'invalid_input',
      `${JSON.stringify(nodename.slice(0, 64))} cannot be the name of a machine`,
      {
        hint: 'choose a DNS name with --nodename',
      },
    )
}

/**
 * Whose key it is need not be shown: without the private half the certificate is worth nothing.
 * @throws invalid_input
 */
function readKey(pem: string): KeyObject {
  let key: KeyObject | undefined
  try {
    // A private key would be taken too.
    if (pem.startsWith('-----BEGIN PUBLIC KEY-----')) key = createPublicKey(pem)
  } catch {
    // What is no key has no curve either: the error below says so.
  }
  if (key?.asymmetricKeyDetails?.namedCurve === 'prime256v1') return key
  throw problem('invalid_input', 'the key of a machine is a public key in PEM, on the curve P-256')
}

const keyId = (key: KeyObject): string => sha256Hex(key.export({type: 'spki', format: 'der'}))

async function certify(
  {authorities, settings}: AuthContext,
  hostId: string,
  roles: readonly JoinRole[],
  publicKey: KeyObject,
): Promise<HostCertificates> {
  const issue = async (role: JoinRole) => ({
    role,
    certificate: await authorities.issueTlsHost({
      role,
      hostId,
      publicKey,
      lifetimeMs: machineTtlMilliseconds,
    }),
  })
  return {
    clusterName: settings.clusterName,
    authorities: authorities.tlsHostAuthorities(),
    certificates: await Promise.all([...new Set(roles)].map(issue)),
  }
}
