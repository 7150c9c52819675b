import type {AlgorithmLists} from './ssh2-protocol.js'

/** Algorithms an administrator may choose from and in which order; absent lists mean the defaults below. */
export interface AlgorithmChoice {
  kex?: readonly string[]
  ciphers?: readonly string[]
  macs?: readonly string[]
}

/** No SHA-1, no CBC. Group exchange is missing because ssh2 cannot serve it. */
export const supportedKex: readonly string[] = [
  'curve25519-sha256',
  'curve25519-sha256@libssh.org',
  'ecdh-sha2-nistp256',
  'ecdh-sha2-nistp384',
  'ecdh-sha2-nistp521',
  'diffie-hellman-group16-sha512',
  'diffie-hellman-group18-sha512',
  'diffie-hellman-group14-sha256',
]

/** AES-GCM first: with hardware AES it costs a third of chacha20 per byte. */
export const supportedCiphers: readonly string[] = [
  'aes128-gcm@openssh.com',
  'aes256-gcm@openssh.com',
  'chacha20-poly1305@openssh.com',
  'aes256-ctr',
  'aes192-ctr',
  'aes128-ctr',
]

export const supportedMacs: readonly string[] = [
  'hmac-sha2-256-etm@openssh.com',
  'hmac-sha2-512-etm@openssh.com',
  'hmac-sha2-256',
  'hmac-sha2-512',
]

/**
 * The lists for our KEXINIT. Compression is never offered: before authentication it hands an attacker an inflater.
 * ssh2 itself adds `kex-strict-*`, which closes Terrapin (CVE-2023-48795), and a client's `ext-info-c`.
 */
export function offer(hostKeys: readonly string[], choice: AlgorithmChoice = {}): AlgorithmLists {
  const direction = {
    cipher: [...(choice.ciphers ?? supportedCiphers)],
    mac: [...(choice.macs ?? supportedMacs)],
    compress: ['none'],
    lang: [],
  }
  return {
    kex: [...(choice.kex ?? supportedKex)],
    serverHostKey: [...hostKeys],
    cs: direction,
    sc: direction,
  }
}
