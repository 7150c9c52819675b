import {z} from 'zod'
import {maxLabelName, maxLabelValue} from '../../names/index.js'

const name = z.string().max(256)

/** The shape of a request to enrol a host, however it comes. */
export const enrolInput = z.strictObject({
  token: name.optional(),
  publicKey: z.string().max(4096),
  hostname: name,
  names: z.array(name).max(64).optional(),
  address: z.string().max(300).optional(),
  port: z.number().int().min(1).max(65_535).optional(),
  labels: z.record(z.string().max(maxLabelName), z.string().max(maxLabelValue)).optional(),
  id: name.optional(),
  signature: name,
})
