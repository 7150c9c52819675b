import {lookup} from 'node:dns/promises'
import {isIP, type Socket, connect as tcpConnect} from 'node:net'
import {networkInterfaces} from 'node:os'
import type {Duplex} from 'node:stream'
import {errnoOf} from '../durable/index.js'
import {asProblem, problem, type SallyportError} from '../errors/index.js'
import {type Address, formatAddress} from '../names/index.js'
import {type DialContext, type DialPolicy, decideDial} from './dial-policy.js'

const connectMilliseconds = 10_000
/** A name with more addresses than this would keep its user waiting beyond all patience. */
const maxAddresses = 6

export interface DialSettings {
  policy: DialPolicy
  loopbackOnly: boolean
  ownPorts: () => readonly number[]
  /** All addresses of a name; the system's resolver unless given. Called once for each attempt. */
  lookup?: (host: string) => Promise<string[]>
}

export interface Dialled {
  stream: Duplex
  /** `ip:port` */
  address: string
}

/** Where a dial leads. */
export interface DialTarget extends Address {
  /** An administrator vouches for the address, or the machine is this one: `proxy_service.dial` is about others. */
  registered?: boolean
  /** A node vouches for it. */
  claimed?: boolean
}

/** What a name resolves to, or why it does not. */
export interface Resolved {
  addresses: string[]
  failure?: SallyportError
}

/**
 * Connects to the first of the addresses that may be dialled and answers.
 * @throws host_unreachable, dial_forbidden
 */
export async function dialAddresses(
  target: DialTarget,
  resolved: Resolved,
  settings: DialSettings,
): Promise<Dialled> {
  if (resolved.failure) throw resolved.failure
  const context = {...settings, ownPorts: settings.ownPorts(), ownAddresses: ownAddresses()}
  const addresses = permitted(target, resolved.addresses, context)
  let failure: SallyportError | undefined
  for (const address of addresses) {
    try {
      return {stream: await open(address, target), address: formatAddress({host: address, port: target.port})}
    } catch (error) {
      failure ??= asProblem(error)
    }
  }
  throw failure ?? problem('host_unreachable', `${target.host} has no address`)
}

const systemLookup = async (host: string): Promise<string[]> =>
  (await lookup(host, {all: true, order: 'verbatim'})).map(({address}) => address)

/** All addresses of a name, an address being its own. Never rejects. */
export async function resolveTarget(
  host: string,
  {lookup: find = systemLookup}: Pick<DialSettings, 'lookup'>,
): Promise<Resolved> {
  if (isIP(host)) return {addresses: [host]}
  try {
    return {addresses: (await find(host)).slice(0, maxAddresses)}
  } catch (cause) {
    const failure = problem('host_unreachable', `the name ${host} does not resolve`, {
      hint: "check the spelling and the proxy's DNS",
      cause,
    })
    return {addresses: [], failure}
  }
}

function permitted(target: DialTarget, addresses: readonly string[], context: DialContext): string[] {
  const decisions = addresses.map(address => ({address, ...decideDial({...target, address}, context)}))
  const allowed = decisions.filter(decision => decision.allowed).map(({address}) => address)
  const refused = decisions.find(decision => !decision.allowed)
  if (allowed.length > 0 || !refused || refused.allowed) return allowed
  throw problem(
    'dial_forbidden',
    `the proxy may not connect to ${target.host}:${target.port}: ${refused.reason}`,
    {
      hint: 'an administrator can change proxy_service.dial or register the host',
    },
  )
}

function open(address: string, target: DialTarget): Promise<Socket> {
  const name = `${target.host}:${target.port}`
  return new Promise((resolve, reject) => {
    const socket = tcpConnect({host: address, port: target.port, noDelay: true})
    const fail = (error: SallyportError): void => {
      clearTimeout(timer)
      socket.destroy()
      reject(error)
    }
    const timer = setTimeout(() => fail(cannotConnect(name, 'ETIMEDOUT')), connectMilliseconds)
    // For good: a host may break the connection before anybody uses it, and that must not end the process.
    socket.on('error', error => fail(cannotConnect(name, errnoOf(error), error)))
    socket.once('connect', () => {
      clearTimeout(timer)
      resolve(socket)
    })
  })
}

const reasons: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  EHOSTUNREACH: 'no route to host',
  ENETUNREACH: 'no route to its network',
  ETIMEDOUT: 'it did not answer in time',
}

function cannotConnect(name: string, code = '', cause?: Error): SallyportError {
  if (code === 'ECONNRESET') {
    return problem('host_unreachable', `ssh: handshake failed: connection reset (${name})`, {
      hint: 'its sshd may be dropping connections: see MaxStartups in its sshd_config',
      cause,
    })
  }
  const why = reasons[code] ?? cause?.message ?? code
  return problem('host_unreachable', `cannot connect to ${name}: ${why}`, {
    hint: 'check the address and that its sshd runs',
    cause,
  })
}

const ownAddresses = (): string[] =>
  Object.values(networkInterfaces()).flatMap(list => (list ?? []).map(({address}) => address))
