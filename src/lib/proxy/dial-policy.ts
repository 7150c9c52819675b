import {BlockList, isIP, isIPv6} from 'node:net'

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
}

export interface DialContext {
  rules: DialRules
  /** The proxy listens on loopback alone: a trial on one machine, where loopback targets are meant. */
  loopbackOnly: boolean
  /** Ports of the cluster's own services on this machine. */
  ownPorts: readonly number[]
  /** Addresses of this machine. */
  ownAddresses: readonly string[]
}

export type DialDecision = {allowed: true} | {allowed: false; reason: string}

const refuse = (reason: string): DialDecision => ({allowed: false, reason})

/** Where cloud machines hand out credentials, and other places that only answer to neighbours. */
const linkLocal = blockList(['169.254.0.0/16', 'fe80::/10'])
const loopback = blockList(['127.0.0.0/8', '::1/128'])
const neverRouted = blockList(['0.0.0.0/8', '::/128', '224.0.0.0/4', 'ff00::/8', '255.255.255.255/32'])

/**
 * Decides whether the proxy may connect to an address that is not a registered host. Pure. Looks at the address that
 * will be dialled, so a name that resolves elsewhere the next time changes nothing.
 */
export function decideDial(request: DialRequest, context: DialContext): DialDecision {
  const address = plainAddress(request.address)
  const {rules} = context
  if (contains(linkLocal, address)) return refuse('link-local addresses are never dialled')
  if (contains(neverRouted, address)) return refuse('the address is not one of a host')
  const own = contains(loopback, address) || context.ownAddresses.includes(address)
  if (own && context.ownPorts.includes(request.port)) return refuse('the port belongs to the cluster itself')
  if (matches(rules.deny, request.host, address)) return refuse('proxy_service.dial.deny names it')
  const named = matches(rules.allow, request.host, address)
  if (rules.allow.length > 0 && !named) return refuse('proxy_service.dial.allow does not name it')
  if (contains(loopback, address) && !context.loopbackOnly && !named) {
    return refuse('loopback is only dialled where proxy_service.dial.allow names it')
  }
  return {allowed: true}
}

/** An IPv4 address in IPv6 clothes is the IPv4 address. */
const plainAddress = (address: string): string => {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1]
  return mapped ?? address
}

function matches(rules: readonly string[], host: string, address: string): boolean {
  return rules.some(rule => (isBlock(rule) ? contains(blockList([rule]), address) : globMatches(rule, host)))
}

export const isBlock = (rule: string): boolean => isIP(rule.split('/')[0] ?? '') !== 0

/** `*` stands for any characters; without one the names must be equal. */
function globMatches(glob: string, host: string): boolean {
  const pattern = glob
    .toLowerCase()
    .split('*')
    .map(part => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'))
    .join('.*')
  return new RegExp(`^${pattern}$`).test(host)
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
