import {generateKeyPairSync, type KeyObject} from 'node:crypto'
import type {ErrorCode} from '../../../src/lib/errors/index.js'
import {type CertificatePolicy, publicKeyBlob} from '../../../src/lib/sshcert/index.js'
import {type Forgery, soundForgery} from '../forged-certificate.js'

/** What OpenSSH makes of the same certificate, offered for the same login from 127.0.0.1. */
export type Verdict =
  /** The login works. */
  | 'accepts'
  /** sshd gives this reason in its log. */
  | RegExp
  /** OpenSSH cannot even read it: ssh-keygen -L fails, no client offers it. */
  | 'unreadable'
  /** No way to show it to sshd: why. */
  | `unasked: ${string}`

/** One rule: what is changed in a certificate that is good otherwise, and what has to come of it. */
export interface Rule {
  name: string
  change: Partial<Forgery>
  /** What is asked of it otherwise than for the login from 127.0.0.1; undefined takes a condition away. */
  policy?: {[Condition in keyof CertificatePolicy]?: CertificatePolicy[Condition] | undefined}
  /** The private half of the certified key, where it is not the subject's. */
  identity?: KeyObject
  /** The code of the refusal. */
  code: ErrorCode | 'accepted'
  sshd: Verdict
  /** Where we and OpenSSH disagree: why that is right. */
  differs?: string
}

/** Keys that the rules are about; RSA keys take a while to make. */
export interface Cast {
  /** Unix seconds. */
  now: bigint
  login: string
  subject: KeyObject
  authority: KeyObject
  rsaAuthority: KeyObject
  ecAuthority: KeyObject
  weakAuthority: KeyObject
  /** Blobs of the authorities above, which sshd and we are told to trust. */
  trusted: Buffer[]
  sound: Forgery
}

export const weakRsa = 'sshd takes 1024 bits by default, we take 2048'

export function castOfKeys(now: bigint, login: string): Cast {
  const rsa = (modulusLength: number): KeyObject => generateKeyPairSync('rsa', {modulusLength}).privateKey
  const [subject, authority] = [
    generateKeyPairSync('ed25519').privateKey,
    generateKeyPairSync('ed25519').privateKey,
  ]
  const ecAuthority = generateKeyPairSync('ec', {namedCurve: 'P-256'}).privateKey
  const [rsaAuthority, weakAuthority] = [rsa(2048), rsa(1024)]
  return {
    ...{now, login, subject, authority, ecAuthority, rsaAuthority, weakAuthority},
    trusted: [authority, ecAuthority, rsaAuthority, weakAuthority].map(publicKeyBlob),
    sound: soundForgery(subject, authority, now, login),
  }
}
