import {isIP} from 'node:net'
import {z} from 'zod'
import type {HostRecord} from '../../access/index.js'
import {refusing} from '../../config/index.js'
import {isUuid, labelNameProblem, maxLabels, maxLabelValue, splitAddress} from '../../names/index.js'
import type {StoredHost} from '../records.js'
import type {NodeResource} from '../resources/types.js'

/** A registered host that has been understood. */
export interface NodeDefinition {
  kind: 'node'
  /** UUID; empty where the cluster is to choose one. */
  name: string
  hostname: string
  names: string[]
  /** `host:port` */
  address: string
  labels: Record<string, string>
}

const sshPort = 22
/** Far more than people call a host by. */
export const maxNames = 16

/** Why this cannot be the name of a host, or undefined. What is an address is one of the host, not its name. */
export const hostnameProblem = (name: string): string | undefined => {
  if (isUuid(name.split('.')[0] ?? '')) return 'a UUID cannot be the name of a host'
  if (/^[\d.]+$/.test(name)) return 'an address cannot be the name of a host: it stands in addr'
  return /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*$/.test(name) &&
    name.length <= 253
    ? undefined
    : `${JSON.stringify(name.slice(0, 80))} cannot be the name of a host`
}

/** Canonical: lower-case, no trailing dot. */
export const canonicalHostname = (name: string): string => name.toLowerCase().replace(/\.$/, '')

/** Another name of a host, which may be an address, in the one spelling. */
export const canonicalName = (name: string): string =>
  isIP(name) === 6 ? new URL(`http://[${name}]`).hostname.slice(1, -1) : canonicalHostname(name)

/** Why this cannot be another name of a host, or undefined. */
export const nameProblem = (name: string): string | undefined =>
  isIP(name) === 0 ? hostnameProblem(name) : undefined

/** Why these cannot be the labels of a host, or undefined. */
export function labelsProblem(labels: Readonly<Record<string, string>>): string | undefined {
  const entries = Object.entries(labels)
  if (entries.length > maxLabels) return `a host has ${maxLabels} labels at most`
  for (const [name, value] of entries) {
    const wrong = labelNameProblem(name)
    if (wrong !== undefined) return `${JSON.stringify(name.slice(0, 80))}: ${wrong}`
    if (value.length > maxLabelValue) return `the label ${name} has over ${maxLabelValue} characters`
    if (/\p{Cc}/u.test(value)) return `the label ${name} has control characters`
  }
  return undefined
}

/** `10.0.0.7`, `10.0.0.7:2222`, `[2001:db8::7]:22`, `db-1.example.com:22` → canonical `host:port`; port 22 if none. */
export function hostAddress(text: string): string | undefined {
  const bracketed = isIP(text) === 6 ? `[${text}]` : text
  const bare = /:\d*$/.test(text) && bracketed === text ? text : `${bracketed}:${sshPort}`
  const parts = splitAddress(bare)
  if (!parts) return undefined
  if (isIP(parts.host) === 6) return `${new URL(`http://[${parts.host}]`).hostname}:${parts.port}`
  const host = canonicalHostname(parts.host)
  return isIP(host) === 4 || (hostnameProblem(host) === undefined && !/^[\d.]+$/.test(host))
    ? `${host}:${parts.port}`
    : undefined
}

// A record of zod passes over the key `__proto__`.
const labels = z.unknown().transform((given, context): Record<string, string> => {
  const issue = (message: string, path: string[] = []): never => {
    context.addIssue({code: 'custom', message, path})
    return z.NEVER
  }
  if (given === undefined || given === null) return {}
  if (typeof given !== 'object' || Array.isArray(given))
    return issue('expected labels, such as env: production')
  const wrong = Object.entries(given).find(([, value]) => typeof value !== 'string')
  if (wrong) return issue('expected text', [wrong[0]])
  const problem = labelsProblem(given as Record<string, string>)
  return problem === undefined ? {...(given as Record<string, string>)} : issue(problem)
})

/** `kind: node`, as a file or a request has it. */
export const nodeSchema = z
  .strictObject({
    kind: z.literal('node'),
    sub_kind: z.literal('openssh', 'expected openssh: nodes of our own join by themselves'),
    version: z.enum(['v1', 'v2'], 'expected v1').optional(),
    metadata: z
      .strictObject({
        name: z
          .string()
          .toLowerCase()
          .refine(isUuid, 'expected a UUID; leave it out, and one is made')
          .optional(),
        labels: labels.optional(),
      })
      .nullish(),
    spec: z.strictObject({
      hostname: z.string().transform(canonicalHostname).superRefine(refusing(hostnameProblem)),
      names: z
        .array(z.string().transform(canonicalName).superRefine(refusing(nameProblem)))
        .max(maxNames, `a host has ${maxNames} more names at most`)
        .optional(),
      addr: z.string().transform((text, context) => {
        const address = hostAddress(text)
        if (address !== undefined) return address
        context.addIssue({code: 'custom', message: 'expected host:port'})
        return z.NEVER
      }),
    }),
  })
  .transform(
    ({metadata, spec}): NodeDefinition => ({
      kind: 'node',
      name: metadata?.name ?? '',
      hostname: spec.hostname,
      names: [...new Set(spec.names ?? [])],
      address: spec.addr,
      labels: metadata?.labels ?? {},
    }),
  )

/** The one way in which a host is written: what `get` shows and `create` reads. */
export const nodeResource = ({
  id,
  hostname,
  names = [],
  address = '',
  labels: named,
}: Pick<HostRecord, 'id' | 'hostname' | 'names' | 'address' | 'labels'>): NodeResource => ({
  kind: 'node',
  sub_kind: 'openssh',
  version: 'v1',
  metadata: {name: id, ...(Object.keys(named).length > 0 && {labels: named})},
  spec: {hostname, ...(names.length > 0 && {names}), addr: address},
})

/** What is kept of it; a host that has enrolled itself keeps its key. */
export const storedNode = (
  {hostname, names, address, labels: named}: NodeDefinition,
  registered: number,
  current?: StoredHost,
): StoredHost => ({
  ...{version: 1, subKind: 'openssh', hostname, address, labels: named, registered},
  ...(names.length > 0 && {names}),
  ...(current?.hostKey !== undefined && {hostKey: current.hostKey}),
})
