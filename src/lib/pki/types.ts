import type {KeyObject} from 'node:crypto'

/** The authorities of a cluster. Each has keys of its own: trust in one says nothing about another. */
export const authorityTypes = ['user', 'host', 'openssh', 'tls-host', 'tls-user', 'recording'] as const
export type AuthorityType = (typeof authorityTypes)[number]

export interface AuthorityKey {
  privateKey: KeyObject
  /** SSH public key blob. */
  publicBlob: Buffer
  /** Unix ms. */
  created: number
  /** PEM of the self-signed CA certificate, for the X.509 authorities. */
  certificate?: string
}

/** Keys of each authority. The first signs; all of them are trusted. */
export type AuthorityKeys = Readonly<Record<AuthorityType, readonly [AuthorityKey, ...AuthorityKey[]]>>
