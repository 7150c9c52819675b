import {isIP} from 'node:net'
import {z} from 'zod'
import type {Address} from '../names/index.js'
import {DAY_MS, HOUR_MS} from '../names/index.js'

// Words of a configuration file → values. Each codec is a function of the text that returns undefined for what it does
// not understand, and a zod type with the message a person sees.

const units: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: HOUR_MS,
  d: DAY_MS,
}

/** `1h30m`, `45s`, `500ms`, `2d` in milliseconds; undefined for anything else. */
export function parseDuration(text: string): number | undefined {
  if (!/^(\d+(\.\d+)?(ms|[smhd]))+$/.test(text)) return undefined
  let total = 0
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|[smhd])/g))
    total += Number(amount) * (units[unit ?? ''] ?? Number.NaN)
  return Number.isSafeInteger(Math.round(total)) ? Math.round(total) : undefined
}

/** The reverse of parseDuration, in hours and smaller units; 0 is `never`. */
export function formatDuration(milliseconds: number): string {
  let rest = milliseconds
  const parts = ['h', 'm', 's', 'ms']
    .map(unit => ({unit, size: units[unit] ?? 1}))
    .map(({unit, size}) => {
      const amount = Math.floor(rest / size)
      rest -= amount * size
      return amount === 0 ? '' : `${amount}${unit}`
    })
  return parts.join('') || 'never'
}

const sizes: Readonly<Record<string, number>> = {
  B: 1,
  kB: 1e3,
  MB: 1e6,
  GB: 1e9,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
}

/** `1GiB`, `500MB`, `1.5GiB`, `64 KiB` in bytes; undefined for anything else. */
export function parseSize(text: string): number | undefined {
  const [, amount, unit] = /^(\d+(?:\.\d+)?) ?([KMG]iB|[kMG]?B)$/.exec(text) ?? []
  const bytes = Math.round(Number(amount) * (sizes[unit ?? ''] ?? Number.NaN))
  return Number.isSafeInteger(bytes) ? bytes : undefined
}

const hostname = /^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_]([a-z0-9_-]{0,62}))*\.?$/i

// Node takes a zone id (`fe80::1%eth0`) for a part of an address; one machine's interface name means nothing here.
const isHost = (host: string): boolean =>
  (isIP(host) !== 0 && !host.includes('%')) || (hostname.test(host) && !/^[\d.]+$/.test(host))

/**
 * `host:port`, `[ipv6]:port`, `:port` (every address), or a host alone when there is a default port. Ports are decimal,
 * 0–65535. Returns undefined for anything else.
 */
export function parseAddress(text: string, defaultPort?: number): Address | undefined {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]*))(?::(\d{1,5}))?$/.exec(text)
  const bare = isIP(text) === 6 ? text : undefined
  if (!match && bare === undefined) return undefined
  const host = bare ?? match?.[1] ?? (match?.[2] || (match?.[3] === undefined ? '' : '0.0.0.0'))
  const port = match?.[3] === undefined || bare !== undefined ? defaultPort : Number(match[3])
  if (port === undefined || port > 65_535 || !isHost(host)) return undefined
  if (match?.[1] !== undefined && isIP(host) !== 6) return undefined
  return {host, port}
}

/** For `superRefine`: an issue where `why` finds something wrong. */
export const refusing =
  <T>(why: (value: T) => string | undefined) =>
  (value: T, context: z.RefinementCtx): void => {
    const message = why(value)
    if (message !== undefined) context.addIssue({code: 'custom', message})
  }

/** A text for which `why` finds nothing wrong. */
export const textWithout = (why: (text: string) => string | undefined) =>
  z.string().superRefine(refusing(why))

/** Text through `parse`; what it does not understand is an error with `message`. */
const words = <T>(parse: (text: string) => T | undefined, message: string) =>
  z.string().transform((text, context) => {
    const value = parse(text)
    if (value !== undefined) return value
    context.addIssue({code: 'custom', message})
    return z.NEVER
  })

export const text = z.string().min(1, 'must not be empty')

const booleans: Readonly<Record<string, boolean>> = {
  yes: true,
  on: true,
  true: true,
  no: false,
  off: false,
  false: false,
}

const booleanOf = (value: unknown): boolean | undefined =>
  typeof value === 'boolean' ? value : typeof value === 'string' ? booleans[value.toLowerCase()] : undefined

/** YAML 1.1's spellings count, bare or quoted: YAML 1.2 reads `yes` as text. */
export const yesNo = z.unknown().transform((value, context) => {
  const boolean = booleanOf(value)
  if (boolean !== undefined) return boolean
  context.addIssue({code: 'custom', message: 'expected yes or no'})
  return z.NEVER
})

/** One of `choices`; where `off` is one of them, YAML's false is it too. */
export const choice = <const C extends string>(choices: readonly C[], refuse: Record<string, string> = {}) =>
  z.unknown().transform((value, context): C => {
    const word = value === false ? 'off' : value === true ? 'on' : String(value)
    const found = choices.find(name => name === (booleanOf(value) === false ? 'off' : word))
    if (found !== undefined) return found
    const message = Object.hasOwn(refuse, word) ? refuse[word] : undefined
    context.addIssue({code: 'custom', message: message ?? `expected one of ${choices.join(', ')}`})
    return z.NEVER
  })

/** Milliseconds; `never` and 0 are 0. */
export const duration = z.unknown().transform((value, context) => {
  if (value === 0 || value === '0' || value === 'never') return 0
  const milliseconds = typeof value === 'string' ? parseDuration(value) : undefined
  if (milliseconds !== undefined) return milliseconds
  context.addIssue({code: 'custom', message: 'expected a duration with its unit, such as 30s, 5m or 1h30m'})
  return z.NEVER
})

/** Bytes. */
export const size = z.unknown().transform((value, context) => {
  const bytes = typeof value === 'string' ? parseSize(value) : undefined
  if (bytes !== undefined && bytes > 0) return bytes
  context.addIssue({code: 'custom', message: 'expected a size with its unit, such as 500MB or 1GiB'})
  return z.NEVER
})

/** Without a port, the default one. */
export const listenAddress = (defaultPort: number) =>
  z.unknown().transform((value, context): Address => {
    const address = typeof value === 'string' ? parseAddress(value, defaultPort) : undefined
    if (address) return address
    context.addIssue({code: 'custom', message: `expected host:port, such as 0.0.0.0:${defaultPort}`})
    return z.NEVER
  })

/** One address or a list of them; without a port it is the one listened on, written 0 here. */
export const publicAddresses = z.unknown().transform((value, context): Address[] => {
  const list = Array.isArray(value) ? value : [value]
  const addresses = list.map(item => (typeof item === 'string' ? parseAddress(item, 0) : undefined))
  if (addresses.every(address => address !== undefined)) return addresses
  context.addIssue({code: 'custom', message: 'expected host or host:port, or a list of them'})
  return z.NEVER
})

export const ipAddress = words(value => (isIP(value) ? value : undefined), 'expected an IP address')

export const dnsName = words(
  value => (hostname.test(value) ? value : undefined),
  'expected a name of letters, digits, dots and dashes',
)
