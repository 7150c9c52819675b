import {z} from 'zod'
import {
  checkDocument,
  complaints,
  type LocatedDocument,
  readDocuments,
  refusing,
  textWithout,
} from '../../config/index.js'
import {problem, type SallyportError} from '../../errors/index.js'
import {type RoleDefinition, roleNameProblem, roleSchema} from '../access/role-resource.js'
import {type NodeDefinition, nodeSchema} from '../inventory/node-resource.js'
import {loginsProblem, userNameProblem} from '../names.js'
import {type TrustDefinition, trustSchema} from '../trust/resource.js'
import type {Resource} from './types.js'

/** A transaction has room for so many. */
export const maxResources = 100

export interface UserDefinition {
  kind: 'user'
  name: string
  logins: string[]
  roles: string[]
}

/** A resource that has been understood. */
export type Definition = RoleDefinition | UserDefinition | NodeDefinition | TrustDefinition

export const nameOf = (definition: Definition): string =>
  definition.kind === 'role' ? definition.role.name : definition.name

const userSchema = z
  .strictObject({
    kind: z.literal('user'),
    version: z.literal('v1', 'expected v1'),
    metadata: z.strictObject({name: textWithout(userNameProblem)}),
    spec: z.strictObject({
      logins: z.array(z.string()).superRefine(refusing(loginsProblem)),
      roles: z
        .array(textWithout(roleNameProblem))
        .min(1, 'a user needs at least one role')
        .max(64, 'a user can have 64 roles at most'),
    }),
  })
  .transform(
    ({metadata: {name}, spec: {logins, roles}}): UserDefinition => ({
      kind: 'user',
      name,
      logins: [...new Set(logins)],
      roles: [...new Set(roles)],
    }),
  )

const kindSchema = z.looseObject({
  kind: z.enum(['role', 'user', 'node', 'trusted_cluster'], {
    error: 'expected one of role, user, node, trusted_cluster',
  }),
})

/** By its kind, so that errors are about the fields of that kind. */
const schemaOf = (value: unknown): z.ZodType<Definition> | undefined => {
  const known = kindSchema.safeParse(value)
  if (!known.success) return undefined
  return {role: roleSchema, user: userSchema, node: nodeSchema, trusted_cluster: trustSchema}[known.data.kind]
}

/** Understands a resource that came as a value. @throws invalid_input */
export function readResource(value: unknown): Definition {
  const schema = schemaOf(value) ?? (kindSchema as z.ZodType)
  const parsed = schema.safeParse(value, {reportInput: true})
  if (parsed.success) return parsed.data as Definition
  throw problem('invalid_input', complaints(schema, parsed.error).join('\n'), {hint})
}

export const resourceExists = (what: string): SallyportError =>
  problem('already_exists', `there is a ${what} already; nothing was created`, {
    hint: 'add --force to put the new one in its place',
  })

const hint = 'see docs/guides/roles-and-locks.md'

/**
 * The resources in a YAML file of one document or several, checked.
 * @param name the file's name, as the person gave it
 * @throws invalid_input with one line per error, each `file:line:col: path: message`
 */
export function parseResources(text: string, name: string): Resource[] {
  const {documents, errors} = readDocuments(text, name)
  const given = documents.filter(({value}) => !isEmpty(value))
  if (errors.length === 0 && given.length === 0) errors.push(`${name}:1:1: there is no resource in this file`)
  if (given.length > maxResources)
    errors.push(`${given[maxResources]?.at([])}: at most ${maxResources} resources at a time`)
  else errors.push(...given.flatMap(errorsOf), ...repeated(given))
  if (errors.length > 0) throw problem('invalid_input', errors.join('\n'), {hint})
  return given.map(({value}) => value as Resource)
}

const isEmpty = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && Object.keys(value).length === 0

function errorsOf(document: LocatedDocument): string[] {
  const checked = checkDocument(document, schemaOf(document.value) ?? (kindSchema as z.ZodType<unknown>))
  return checked.ok ? [] : checked.errors
}

function repeated(documents: readonly LocatedDocument[]): string[] {
  const seen = new Set<string>()
  return documents.flatMap(document => {
    const {kind, metadata} = document.value as {kind?: unknown; metadata?: {name?: unknown}}
    const name = `${kind}/${metadata?.name}`
    // A node without a name gets one of its own.
    if (metadata?.name === undefined || !seen.has(name)) {
      seen.add(name)
      return []
    }
    return [`${document.at(['metadata', 'name'])}: metadata.name: ${name} is in this file twice`]
  })
}
