import {z} from 'zod'
import {problem} from '../errors/index.js'
import type {Address, JoiningConfig} from './types.js'
import {parseAddress} from './values.js'

// What a machine needs to join a cluster, and which tokens the auth service takes from its configuration.

const defaultPort = 3025

/** Where an auth service is reached: never port 0. */
const parseServer = (text: string): Address | undefined => {
  const address = parseAddress(text.replace(/^(tcp|https):\/\//, ''), defaultPort)
  return address && address.port > 0 && !text.startsWith(':') ? address : undefined
}

export const serverAddress = (port: number) =>
  z.unknown().transform((value, context): Address => {
    const address = typeof value === 'string' ? parseServer(value) : undefined
    if (address) return address
    context.addIssue({code: 'custom', message: `expected host:port, such as auth.example.com:${port}`})
    return z.NEVER
  })

const pin = /^sha256:[0-9a-f]{64}$/

/** Pins apart by commas, or a list of them. */
export const caPins = z.unknown().transform((value, context): string[] => {
  const words = (Array.isArray(value) ? value : String(value).split(',')).map(word =>
    String(word).trim().toLowerCase(),
  )
  if (words.every(word => pin.test(word))) return [...new Set(words)]
  context.addIssue({code: 'custom', message: 'expected sha256: and 64 hexadecimal digits'})
  return z.NEVER
})

/** `node,proxy:secret`, as Teleport writes it. */
export const staticToken = z.unknown().transform((value, context) => {
  const match = typeof value === 'string' ? /^([a-z,\s]+):(\S+)$/i.exec(value) : null
  const words = (match?.[1] ?? '').split(',').map(word => word.trim().toLowerCase())
  const roles = words.map(word => (word === 'ssh' ? 'node' : word))
  const known = roles.filter(role => role === 'node' || role === 'proxy' || role === 'openssh')
  if (match?.[2] !== undefined && known.length === roles.length)
    return {value: match[2], roles: [...new Set(known)]}
  context.addIssue({
    code: 'custom',
    message: 'expected the roles node, proxy and openssh, a colon and the token, such as node,proxy:secret',
  })
  return z.NEVER
})

interface JoiningFlags {
  authServer?: string | undefined
  token?: string | undefined
  caPin?: string | undefined
}

/** Flags over file. @throws usage */
export function joiningConfig(
  file: {
    auth_token?: string | undefined
    ca_pin?: string[] | undefined
    auth_servers?: Address[] | undefined
  },
  flags: JoiningFlags,
): JoiningConfig {
  const token = flags.token ?? file.auth_token
  return {
    authServers:
      flags.authServer === undefined ? (file.auth_servers ?? []) : flags.authServer.split(',').map(server),
    caPins: flags.caPin === undefined ? (file.ca_pin ?? []) : pinsOf(flags.caPin),
    ...(token === undefined ? {} : {token}),
  }
}

function server(text: string): Address {
  const address = parseServer(text.trim())
  if (address) return address
  throw problem('usage', `--auth-server expects host:port, not ${JSON.stringify(text.slice(0, 80))}`, {
    hint: 'as in --auth-server=auth.example.com:3025',
  })
}

function pinsOf(text: string): string[] {
  const parsed = caPins.safeParse(text)
  if (parsed.success) return parsed.data
  throw problem('usage', `--ca-pin expects sha256:…, not ${JSON.stringify(text.slice(0, 80))}`, {
    hint: 'copy it from what `sallyport nodes add` prints',
  })
}
