import {z} from 'zod'

// Shapes of the proxy's web API, bounded: what the proxy says ends up in files and on terminals. Fields that a newer
// proxy adds are dropped.
// Names go into files of stock clients, where a line break would begin a setting.
export const nameSchema = z
  .string()
  .max(256)
  .regex(/^[^\p{Cc}\p{Zl}\p{Zp}\s]+$/u)
const name = nameSchema
const line = z.string().min(1).max(100_000)
const unixMs = z.number().int().nonnegative()
const secondFactor = z.enum(['off', 'otp'])

export const pingSchema = z.object({
  clusterName: name,
  version: z.string().max(64),
  secondFactor,
  recording: z.enum(['node', 'proxy', 'off', 'node-sync', 'proxy-sync']),
  time: unixMs,
  proxy: z.object({ssh: z.object({listen_addr: name, public_addr: name.optional()})}),
})

export const issuedCertificateSchema = z.object({
  user: name,
  clusterName: name,
  certificate: line,
  hostAuthorities: z.array(line).min(1).max(64),
  validBefore: unixMs,
})

export const inviteSchema = z.object({
  user: name,
  kind: z.enum(['invite', 'reset']),
  clusterName: name,
  secondFactor,
  otp: z
    .object({
      secret: z.string().regex(/^[A-Z2-7]{16,128}=*$/),
      uri: z.string().startsWith('otpauth://').max(2048),
    })
    .optional(),
  expires: unixMs,
})

export const acceptedSchema = z.object({user: name})

export const errorSchema = z.object({
  error: z.object({
    code: z.string().max(64),
    message: z.string().min(1).max(4096),
    hint: z.string().max(4096).optional(),
  }),
})

/** What `GET /webapi/ping` answers. */
export type WebPing = z.output<typeof pingSchema>
