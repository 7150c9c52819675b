import {z} from 'zod'
import type {AuthorityType} from '../auth/contract.js'
import {problem} from '../errors/index.js'

/** The authorities whose public keys anybody may fetch. */
const exportTypes = [
  'user',
  'host',
  'openssh',
  'tls-host',
  'tls-user',
] as const satisfies readonly AuthorityType[]

// Bounds of the edge only: rules about what a good name or password is belong to the auth service.
const name = z.string().min(1).max(256)
const password = z.string().min(1).max(1024)
const otp = z.string().max(32)

export const loginBody = z.strictObject({
  user: name,
  password,
  otp: otp.exactOptional(),
  publicKey: z.string().min(1).max(16_384),
  ttlSeconds: z.number().int().positive().max(1_000_000_000).exactOptional(),
})
export const acceptBody = z.strictObject({token: z.string().max(1024), password, otp: otp.exactOptional()})
export const exportQuery = z.strictObject({
  type: z.enum(exportTypes),
  fingerprint: z.string().min(1).max(128).exactOptional(),
})
/** Fields as a browser sends them: all present, possibly empty. What is wrong is said beside the field. */
export const inviteForm = z.strictObject({
  username: z.string().max(256).exactOptional(),
  password: z.string().max(1024),
  confirm: z.string().max(1024),
  otp: otp.exactOptional(),
})

/** `value` checked against `schema`; what is wrong is named by field and never quoted. Throws invalid_input. */
export function parseInput<S extends z.ZodType>(schema: S, value: unknown): z.output<S> {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  const field = issue?.path.join('.')
  const what =
    issue?.code === 'unrecognized_keys' ? 'an unknown field' : lowerFirst(issue?.message ?? 'not valid')
  throw problem('invalid_input', field ? `the field ${field}: ${what}` : `the request has ${what}`)
}

/** A sign-up token as it stands in a link; anything that cannot be one is answered as an unknown one is. */
export function parseToken(value: unknown): string {
  if (typeof value === 'string' && /^[A-Za-z0-9_-]{1,200}$/.test(value)) return value
  throw problem('token_invalid', 'the link is not valid: it is unknown, used or expired', {
    hint: 'ask your administrator for a new one',
  })
}

const lowerFirst = (text: string): string => text.charAt(0).toLowerCase() + text.slice(1)

/** A submitted form as an object without a prototype. A field given twice is refused: readers could disagree. */
export function parseForm(body: string): Record<string, string> {
  const fields: Record<string, string> = Object.create(null)
  for (const [field, value] of new URLSearchParams(body)) {
    if (field in fields) throw problem('invalid_input', 'the form has a field twice')
    fields[field] = value
  }
  return fields
}
