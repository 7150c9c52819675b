import {BlockList, isIP, isIPv6} from 'node:net'
import {isLoopbackAddress} from '../access/index.js'
import {problem} from '../errors/index.js'

/** `proxy_service.dial`: CIDR blocks, addresses or host globs. An empty allow list allows everything not denied. */
export interface DialRules {
  allow: readonly string[]
  deny: readonly string[]
}

export interface DialRequest {
  /** Canonical name as asked for. */
  host: string
  port: number
  /** The resolved address that would be dialled. */
  address: string
  /** Of a host in the inventory: `proxy_service.dial` is about others, and loopback may be meant. */
  registered?: boolean
  /** Of a node, which says itself where it is: as of a registered host, but never this machine's loopback. */
  claimed?: boolean
}

export interface DialContext {
  policy: DialPolicy
  /** The proxy listens on loopback alone: a trial on one machine, where loopback targets are meant. */
  loopbackOnly: boolean
  /** Ports of the cluster's own services on this machine. */
  ownPorts: readonly number[]
  /** Addresses of this machine. */
  ownAddresses: readonly string[]
}

/** Rules ready to be applied. */
export interface DialPolicy {
  allow: RuleSet
  deny: RuleSet
}

interface RuleSet {
  empty: boolean
  blocks: BlockList
  globs: readonly string[]
}

export type DialDecision = {allowed: true} | {allowed: false; reason: string}

const refuse = (reason: string): DialDecision => ({allowed: false, reason})

/** Places that answer only to neighbours; cloud machines get their credentials at 169.254.169.254. */
const linkLocal = blockList(['169.254.0.0/16', 'fe80::/10'])
/** Where the machines of AWS (over IPv6), Alibaba and Azure get theirs. */
const metadata = blockList(['fd00:ec2::254', '100.100.100.200', '168.63.129.16'])
const neverRouted = blockList(['0.0.0.0/8', '::/128', '224.0.0.0/4', 'ff00::/8', '255.255.255.255/32'])

/**
 * Makes the rules of the configuration ready.
 * @throws config_invalid for a block that is none
 */
export const dialPolicy = ({allow, deny}: DialRules): DialPolicy => ({
  allow: ruleSet(allow, 'proxy_service.dial.allow'),
  deny: ruleSet(deny, 'proxy_service.dial.deny'),
})

/**
 * Decides whether the proxy may connect to an address. Pure. Looks at the address that
 * will be dialled, so a name that resolves elsewhere the next time changes nothing.
 */
export function decideDial(request: DialRequest, context: DialContext): DialDecision {
  const {policy} = context
  const addresses = readings(request.address)
  const within = (list: BlockList): boolean => addresses.some(address => contains(list, address))
  if (within(linkLocal)) return refuse('link-local addresses are never dialled')
  if (within(metadata)) return refuse('the address is where cloud machines get their credentials')
  if (within(neverRouted)) return refuse('the address is not one of a host')
  const loopback = addresses.some(isLoopbackAddress)
  const own = loopback || addresses.some(address => context.ownAddresses.includes(address))
  if (own && context.ownPorts.includes(request.port)) return refuse('the port belongs to the cluster itself')
  if (request.registered) return {allowed: true}
  if (within(policy.deny.blocks) || globsMatch(policy.deny, request.host))
    return refuse('proxy_service.dial.deny names it')
  // A node says itself where it is: that opens what is allowed by nobody, and nothing that is denied.
  if (request.claimed && !loopback) return {allowed: true}
  const named = within(policy.allow.blocks)
  if (!policy.allow.empty && !named && !globsMatch(policy.allow, request.host))
    return refuse('proxy_service.dial.allow does not name it')
  // A name can come to mean another machine; that it may mean this one has to be said by address, or in full.
  const meant = named || policy.allow.globs.includes(request.host)
  if (loopback && !context.loopbackOnly && !meant) {
    return refuse('loopback is only dialled where proxy_service.dial.allow names it')
  }
  return {allowed: true}
}

/**
 * The address, and the IPv4 address that is in it: mapped (RFC 4291), or where a NAT64 (RFC 6052) or 6to4 (RFC 3056)
 * gateway on the way would lead to.
 */
function readings(address: string): string[] {
  if (!isIPv6(address)) return [address]
  const groups = expandGroups(address)
  const embedded = embeddings
    .filter(({prefix}) => prefix.every((group, index) => groups[index] === group))
    .map(({at}) => dotted(groups[at] ?? 0, groups[at + 1] ?? 0))
  return [address, ...embedded]
}

const embeddings = [
  {prefix: [0, 0, 0, 0, 0, 0xffff], at: 6},
  {prefix: [0x64, 0xff9b, 0, 0, 0, 0], at: 6},
  {prefix: [0x2002], at: 1},
]

const dotted = (high: number, low: number): string => [high >> 8, high & 255, low >> 8, low & 255].join('.')

/** The eight groups of an IPv6 address in any spelling. */
function expandGroups(address: string): number[] {
  const plain = address.replace(/%.*$/, '').replace(/\d+\.\d+\.\d+\.\d+$/, quad => {
    const [a = 0, b = 0, c = 0, d = 0] = quad.split('.').map(Number)
    return `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`
  })
  const [head = '', tail] = plain.split('::')
  const read = (part: string): number[] =>
    part === '' ? [] : part.split(':').map(group => Number.parseInt(group, 16))
  if (tail === undefined) return read(head)
  const [before, after] = [read(head), read(tail)]
  return [...before, ...Array<number>(Math.max(0, 8 - before.length - after.length)).fill(0), ...after]
}

function ruleSet(rules: readonly string[], setting: string): RuleSet {
  const blocks = rules.filter(isBlock)
  const globs = rules.filter(rule => !isBlock(rule)).map(rule => rule.toLowerCase())
  try {
    return {empty: rules.length === 0, blocks: blockList(blocks), globs}
  } catch (cause) {
    throw problem('config_invalid', `${setting} has a block that is not valid`, {
      hint: 'write it as address/length, for example 10.0.0.0/8',
      cause,
    })
  }
}

const isBlock = (rule: string): boolean => isIP(rule.split('/')[0] ?? '') !== 0

const globsMatch = ({globs}: RuleSet, host: string): boolean => globs.some(glob => globMatches(glob, host))

/** `*` stands for any characters; without one the names must be equal. Linear in time, whatever the glob. */
function globMatches(glob: string, host: string): boolean {
  const [head = '', ...rest] = glob.split('*')
  const tail = rest.pop()
  if (tail === undefined) return head === host
  if (!host.startsWith(head) || !host.endsWith(tail)) return false
  let at = head.length
  for (const part of rest) {
    const found = host.indexOf(part, at)
    if (found < 0) return false
    at = found + part.length
  }
  return at <= host.length - tail.length
}

function blockList(blocks: readonly string[]): BlockList {
  const list = new BlockList()
  for (const block of blocks) {
    const [network = '', prefix] = block.split('/')
    const family = isIPv6(network) ? 'ipv6' : 'ipv4'
    list.addSubnet(network, prefix === undefined ? (family === 'ipv6' ? 128 : 32) : Number(prefix), family)
  }
  return list
}

const contains = (list: BlockList, address: string): boolean =>
  list.check(address, isIPv6(address) ? 'ipv6' : 'ipv4')
