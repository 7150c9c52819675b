import {problem, type SallyportError} from '../../errors/index.js'
import type {Address} from '../../names/index.js'

/** Where to listen, and where a connection made there is to go. */
export interface ForwardSpec {
  /** Address to listen on; port 0 picks one. */
  bind: Address
  /** Absent for a SOCKS proxy, whose client says where to go. */
  target?: Address
}

const loopback = '127.0.0.1'

/**
 * Reads `[bind:]port:host:hostport` of -L and -R, with IPv6 addresses in brackets; loopback is the default to bind.
 * @throws invalid_input
 */
export function parseForward(text: string): ForwardSpec {
  const parts = split(text)
  const [bind, port, host, hostPort] = parts.length === 4 ? parts : [loopback, ...parts]
  if (parts.length < 3 || parts.length > 4 || !host) throw invalid(text, '[bind:]port:host:hostport')
  return {
    bind: {host: bindHost(bind), port: readPort(port, text, 0)},
    target: {host, port: readPort(hostPort, text, 1)},
  }
}

/** Reads `[bind:]port` of -D. @throws invalid_input */
export function parseDynamicForward(text: string): ForwardSpec {
  const parts = split(text)
  const [bind, port] = parts.length === 2 ? parts : [loopback, ...parts]
  if (parts.length > 2) throw invalid(text, '[bind:]port')
  return {bind: {host: bindHost(bind), port: readPort(port, text, 0)}}
}

/** Words between colons, with a bracketed address as one word. */
const split = (text: string): string[] =>
  (text.match(/\[[^\]]*\]|[^:]+|(?<=^|:)(?=:|$)/g) ?? []).map(unbracket)
const unbracket = (word: string): string => word.replace(/^\[(.*)\]$/, '$1')

/** An empty address and `*` mean every interface, as with ssh. */
const bindHost = (host: string | undefined): string =>
  host === '' || host === '*' ? '0.0.0.0' : (host ?? loopback)

function readPort(digits: string | undefined, text: string, least: number): number {
  const port = /^\d{1,5}$/.test(digits ?? '') ? Number(digits) : -1
  if (port < least || port > 65_535) throw invalid(text, 'a port from 1 to 65535')
  return port
}

const invalid = (text: string, form: string): SallyportError =>
  problem('invalid_input', `${JSON.stringify(text.slice(0, 200))} is not a forwarding`, {
    hint: `give it as ${form}`,
  })
