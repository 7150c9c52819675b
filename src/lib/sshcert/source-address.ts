import {isIPv4, isIPv6} from 'node:net'

interface IpAddress {
  bits: 32 | 128
  value: bigint
}

const mappedPrefix = 0xffffn << 32n

/**
 * Whether the value of a `source-address` option allows `remoteAddress`: comma-separated addresses or CIDR blocks.
 * As in OpenSSH one malformed entry, or a block whose address has bits beyond its prefix, makes the list match
 * nothing, and IPv4 peers match IPv4 entries alone, also when they came through an IPv6 socket (`::ffff:a.b.c.d`).
 */
export function sourceAddressAllows(list: string, remoteAddress: string | undefined): boolean {
  const peer = remoteAddress === undefined ? undefined : unmapped(readIp(remoteAddress))
  const blocks = list.split(',').map(parseBlock)
  if (!peer) return false
  return (
    blocks.every(block => block !== undefined) &&
    blocks.some(({network, prefix}) => {
      const hostBits = BigInt(network.bits - prefix)
      return network.bits === peer.bits && network.value >> hostBits === peer.value >> hostBits
    })
  )
}

/**
 * The one spelling of an address: dotted for IPv4, also where IPv6 carries it, and for IPv6 as its bits are, in groups
 * without `::`. undefined for anything else, and for an address with a zone.
 */
export function canonicalAddress(text: string): string | undefined {
  const address = unmapped(readIp(text))
  if (!address) return undefined
  const part = (index: number, width: number): number =>
    Number((address.value >> BigInt(address.bits - (index + 1) * width)) & ((1n << BigInt(width)) - 1n))
  const parts = (count: number, width: number): number[] =>
    Array.from({length: count}, (_, at) => part(at, width))
  if (address.bits === 32) return parts(4, 8).join('.')
  return parts(8, 16)
    .map(group => group.toString(16))
    .join(':')
}

function parseBlock(entry: string): {network: IpAddress; prefix: number} | undefined {
  const match = /^([0-9a-fA-F.:]+)(?:\/(\d{1,3}))?$/.exec(entry)
  const network = readIp(match?.[1] ?? '')
  if (!network) return undefined
  const prefix = match?.[2] === undefined ? network.bits : Number(match[2])
  if (prefix > network.bits) return undefined
  const hostMask = (1n << BigInt(network.bits - prefix)) - 1n
  return (network.value & hostMask) === 0n ? {network, prefix} : undefined
}

function readIp(text: string): IpAddress | undefined {
  if (isIPv4(text)) return {bits: 32, value: joinBits(text.split('.').map(Number), 8n)}
  // A zone id names an interface of the peer's side, which says nothing here.
  if (!isIPv6(text) || text.includes('%')) return undefined
  const [head = [], tail] = text.split('::').map(groups)
  const gap = tail === undefined ? 0 : 8 - head.length - tail.length
  return {bits: 128, value: joinBits([...head, ...Array<number>(gap).fill(0), ...(tail ?? [])], 16n)}
}

/** The 16-bit groups of one side of `::`; a dotted end counts as two. */
const groups = (side: string): number[] =>
  side === ''
    ? []
    : side.split(':').flatMap(group => {
        if (!group.includes('.')) return [Number.parseInt(group, 16)]
        const [a = 0, b = 0, c = 0, d = 0] = group.split('.').map(Number)
        return [a * 256 + b, c * 256 + d]
      })

const joinBits = (parts: readonly number[], width: bigint): bigint =>
  parts.reduce((value, part) => (value << width) | BigInt(part), 0n)

const unmapped = (address: IpAddress | undefined): IpAddress | undefined =>
  address?.bits === 128 && address.value >> 32n === mappedPrefix >> 32n
    ? {bits: 32, value: address.value & 0xffffffffn}
    : address
