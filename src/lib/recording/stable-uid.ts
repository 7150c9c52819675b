import {createHash} from 'node:crypto'

/**
 * The uid of an event that may come to be told again by somebody who knows nothing but what it is about, so that it is on
 * record once. UUID version 8, RFC 9562 §5.8.
 */
export function stableUid(about: string): string {
  const hex = createHash('sha256').update(about).digest('hex')
  const variant = '89ab'.charAt(Number.parseInt(hex.charAt(16), 16) % 4)
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}
