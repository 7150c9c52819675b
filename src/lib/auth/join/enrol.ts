import {randomUUID, verify} from 'node:crypto'
import {isIP} from 'node:net'
import type {HostRecord} from '../../access/index.js'
import {problem, type SallyportError} from '../../errors/index.js'
import {formatAddress, hostOfAddress, isUuid} from '../../names/index.js'
import {blobType, fingerprint, formatAuthorizedKey, publicKeyFromBlob} from '../../sshcert/index.js'
import type {AuthContext} from '../context.js'
import type {AuthApi, Caller} from '../contract.js'
import {hostFacts} from '../inventory/hosts.js'
import {
  canonicalHostname,
  canonicalName,
  hostAddress,
  hostnameProblem,
  labelsProblem,
  maxNames,
  nameProblem,
} from '../inventory/node-resource.js'
import type {StoredHost} from '../records.js'
import {defaultHostTtlSeconds} from '../users/certificates.js'
import {readPublicKey} from '../users/login.js'
import {type EnrolRequest, enrolmentBytes} from './enrol-types.js'
import {isReserved, namesOfCluster} from './names-of-cluster.js'
import {findToken, invalidToken, refusingGuesses} from './token-use.js'

/** What a request comes to before anything is written. */
interface Wish {
  id: string
  key: Buffer
  hostname: string
  names: string[]
  address: string
  labels: Record<string, string>
  principals: string[]
  current: {value: StoredHost; revision: number} | undefined
}

/** Enrolling plain sshd hosts: a certificate for the host's key, and a place in the inventory, in one step. */
export function enrolMethods(context: AuthContext, caller: Caller): Pick<AuthApi, 'enrolHost'> {
  const {authorities, backend, emit, inventory, now, settings} = context
  const by = caller.kind === 'user' ? caller.name : caller.kind === 'admin' ? 'admin' : 'token'
  const lines = (type: 'user' | 'host'): string[] =>
    authorities.publicKeys(type).map(blob => formatAuthorizedKey(blob))

  const enrol = async (request: EnrolRequest) => {
    const use = await permit(context, caller, request.token)
    const wish = await understand(context, caller, request)
    const {id, key, hostname, names, address, labels, principals, current} = wish
    const stored: StoredHost = {
      ...{version: 1, subKind: 'openssh', hostname, address, labels},
      ...{registered: now(), hostKey: fingerprint(key)},
      ...(names.length > 0 && {names}),
    }
    const {creating, replacing} = inventory.records
    const written = await backend.transaction([
      ...(use ? [use] : []),
      current ? replacing(id, current.revision, stored) : creating(id, stored),
    ])
    if (written === undefined)
      throw use ? invalidToken() : problem('unavailable', 'this host is being enrolled by somebody else')
    const validBefore = BigInt(Math.floor(now() / 1000) + defaultHostTtlSeconds)
    const blob = await authorities.issueHost({publicKey: key, principals, keyId: hostname, validBefore})
    await emit({event: 'cert.create', fields: {cert_type: 'host', by, principals}})
    await emit({event: current ? 'node.updated' : 'node.created', fields: hostFacts(by, id, stored)})
    return {
      ...{id, hostname, address, principals, clusterName: settings.clusterName},
      certificate: formatAuthorizedKey(blob, hostname),
      userAuthorities: lines('user'),
      hostAuthorities: lines('host'),
    }
  }
  return {
    enrolHost(request) {
      const {hostname, id = ''} = request
      const fields = {host_id: id.slice(0, 64), nodename: hostname.slice(0, 255), roles: ['openssh']}
      return refusingGuesses(context, caller, 'instance.join', fields, () => enrol(request))
    },
  }
}

/** The step that uses the token up; none for an administrator, nor for a token of the configuration. */
async function permit(context: AuthContext, caller: Caller, token: string | undefined) {
  if (caller.kind === 'admin' && token === undefined) return undefined
  const found = token === undefined ? undefined : await findToken(context, token)
  if (!found) throw invalidToken()
  if (found.roles.includes('openssh')) return found.use
  throw problem('access_denied', `this token is for ${found.roles.join(' and ')}, not for openssh`, {
    hint: 'ask an administrator for one: sallyport tokens add --roles=openssh',
  })
}

async function understand(context: AuthContext, caller: Caller, request: EnrolRequest): Promise<Wish> {
  const {inventory, joining} = context
  const key = readPublicKey(request.publicKey)
  checkSignature(key, request)
  const id = request.id ?? randomUUID()
  const hostname = canonicalHostname(request.hostname)
  const address = request.address ?? observedAddress(caller, request.port)
  const canonical = address === undefined ? undefined : hostAddress(address)
  const names = (request.names ?? []).map(canonicalName)
  const labels = request.labels ?? {}
  if (!isUuid(id)) throw problem('invalid_input', 'a host is known by a UUID in small letters')
  const wrong = hostnameProblem(hostname) ?? names.map(nameProblem).find(Boolean) ?? labelsProblem(labels)
  if (wrong !== undefined) throw problem('invalid_input', wrong)
  if (canonical === undefined)
    throw problem('invalid_input', 'nobody can tell where its sshd answers', {hint: 'say so with --addr'})
  if (names.length > maxNames) throw problem('invalid_input', `a host has ${maxNames} more names at most`)
  const current = await inventory.records.get(id)
  // A UUID belongs to the key that it was given to, and never to a node of ours.
  if ((current && current.value.hostKey !== fingerprint(key)) || (await joining.machines.get(id)))
    throw problem('access_denied', 'this UUID is that of another host', {
      hint: 'remove sallyport_host.json beside sshd_config to enrol as a host of its own',
    })
  const principals = await principalsOf(context, caller, {id, hostname, names, address: canonical})
  return {...{id, key, hostname, names, labels, principals, current}, address: canonical}
}

/** @throws access_denied, invalid_input */
function checkSignature(key: Buffer, request: EnrolRequest): void {
  if (blobType(key) !== 'ssh-ed25519')
    throw problem('invalid_input', 'the key that a host is enrolled with is Ed25519')
  const signature = Buffer.from(request.signature, 'base64')
  if (signature.length === 64 && verify(null, enrolmentBytes(request), publicKeyFromBlob(key), signature))
    return
  throw problem('access_denied', 'the request is not signed by the key of the host')
}

/** Where an enrolling host calls from, as the transport saw it. */
const observedAddress = (caller: Caller, port = 22): string | undefined => {
  if (caller.kind !== 'anonymous' || isIP(caller.address) === 0) return undefined
  return formatAddress({host: caller.address, port})
}

interface Named {
  id: string
  hostname: string
  names: readonly string[]
  address: string
}

/**
 * The names of the certificate: those that were asked for, which nobody else may have, and those that come with them,
 * where nobody else has them.
 * @throws access_denied
 */
async function principalsOf(context: AuthContext, caller: Caller, host: Named): Promise<string[]> {
  const {id, hostname, names, address} = host
  const {clusterName} = context.settings
  const wanted = [hostname, ...names]
  const reservedNames = await namesOfCluster(context)
  for (const name of wanted) {
    const owner = await ownerOf(context, name, id)
    if (owner) throw taken(name, owner)
    if (caller.kind !== 'admin' && isReserved(reservedNames, name)) throw reserved(name)
  }
  const bare = hostOfAddress(address)
  const more = [`${id}.${clusterName}`, `${hostname}.${clusterName}`, bare]
  const free: string[] = []
  for (const name of more)
    if (!isReserved(reservedNames, name) && !(await ownerOf(context, name, id))) free.push(name)
  return [...new Set([...wanted, id, ...free])]
}

/** Another host of the inventory that goes by this name or address. */
const ownerOf = async ({inventory}: AuthContext, name: string, id: string): Promise<HostRecord | undefined> =>
  (await inventory.matching([name])).find(host => host.id !== id)

const reserved = (name: string): SallyportError =>
  problem('access_denied', `${name} is a name of the cluster's own machines`, {
    hint: 'choose another with --nodename, or let an administrator enrol this host',
  })

const taken = (name: string, owner: HostRecord): SallyportError =>
  problem('already_exists', `${name} is a name of another host: ${hostText(owner)}`, {
    hint: 'choose another with --nodename, or remove that host: sallyport rm node/UUID',
  })

const hostText = ({id, hostname}: HostRecord): string => `${hostname} ${id}`
