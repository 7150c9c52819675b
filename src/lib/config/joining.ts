import {z} from 'zod'
import {problem} from '../errors/index.js'
import type {Address} from '../names/index.js'
import type {JoiningConfig} from './types.js'
import {parseAddress} from './values.js'

// What a machine needs to join a cluster, and which tokens the auth service takes from its configuration.

const defaultPorts = {auth: 3025, tunnel: 3024}

/** Where an auth service is reached: never port 0. */
const parseServer = (text: string, port: number): Address | undefined => {
  const address = parseAddress(text.replace(/^(tcp|https):\/\//, ''), port)
  return address && address.port > 0 && !text.startsWith(':') ? address : undefined
}

export const serverAddress = (port: number) =>
  z.unknown().transform((value, context): Address => {
    const address = typeof value === 'string' ? parseServer(value, port) : undefined
    if (address) return address
    context.addIssue({code: 'custom', message: `expected host:port, such as auth.example.com:${port}`})
    return z.NEVER
  })

/** The tunnel port of a proxy, or a list of them. */
export const proxyServers = (port: number) =>
  z
    .unknown()
    .transform(value => (Array.isArray(value) ? value : [value]))
    .pipe(z.array(serverAddress(port)).min(1))

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
  proxyServer?: string | undefined
  token?: string | undefined
  caPin?: string | undefined
}

/** Flags over file. @throws usage */
export function joiningConfig(
  file: {
    auth_token?: string | undefined
    ca_pin?: string[] | undefined
    auth_servers?: Address[] | undefined
    proxy_server?: Address[] | undefined
  },
  flags: JoiningFlags,
): JoiningConfig {
  const token = flags.token ?? file.auth_token
  const authServers = servers('--auth-server', flags.authServer, defaultPorts.auth) ?? file.auth_servers
  const throughProxies =
    servers('--proxy-server', flags.proxyServer, defaultPorts.tunnel) ?? file.proxy_server ?? []
  return {
    // The tunnel port of a proxy leads to the auth service as well.
    authServers: authServers ?? throughProxies,
    proxyServers: throughProxies,
    caPins: flags.caPin === undefined ? (file.ca_pin ?? []) : pinsOf(flags.caPin),
    ...(token === undefined ? {} : {token}),
  }
}

/** @throws usage */
function servers(flag: string, given: string | undefined, port: number): Address[] | undefined {
  return given?.split(',').map(text => {
    const address = parseServer(text.trim(), port)
    if (address) return address
    throw problem('usage', `${flag} expects host:port, not ${JSON.stringify(text.slice(0, 80))}`, {
      hint: `as in ${flag}=sallyport.example.com:${port}`,
    })
  })
}

function pinsOf(text: string): string[] {
  const parsed = caPins.safeParse(text)
  if (parsed.success) return parsed.data
  throw problem('usage', `--ca-pin expects sha256:…, not ${JSON.stringify(text.slice(0, 80))}`, {
    hint: 'copy it from what `sallyport nodes add` prints',
  })
}
