/** Names of keys, certificates and signatures: RFC 4253 §6.6, RFC 5656, RFC 8332, RFC 8709, PROTOCOL.certkeys. */

/** Tables are asked with names from the wire: without a prototype, `constructor` is as unknown as any other. */
const table = <Entry>(entries: Record<string, Entry>): Readonly<Record<string, Entry>> =>
  Object.freeze(Object.assign(Object.create(null) as Record<string, Entry>, entries))

export interface Curve {
  /** The curve's name inside the key blob. */
  name: string
  jwk: 'P-256' | 'P-384' | 'P-521'
  hash: 'sha256' | 'sha384' | 'sha512'
  /** Bytes of one coordinate. */
  size: number
}

export const curves = table<Curve>({
  'ecdsa-sha2-nistp256': {name: 'nistp256', jwk: 'P-256', hash: 'sha256', size: 32},
  'ecdsa-sha2-nistp384': {name: 'nistp384', jwk: 'P-384', hash: 'sha384', size: 48},
  'ecdsa-sha2-nistp521': {name: 'nistp521', jwk: 'P-521', hash: 'sha512', size: 66},
})

/** Signature formats that a key type may make. `ssh-rsa` (SHA-1) is absent on purpose. */
export const signatureAlgorithms = table<readonly string[]>({
  'ssh-ed25519': ['ssh-ed25519'],
  'ecdsa-sha2-nistp256': ['ecdsa-sha2-nistp256'],
  'ecdsa-sha2-nistp384': ['ecdsa-sha2-nistp384'],
  'ecdsa-sha2-nistp521': ['ecdsa-sha2-nistp521'],
  'ssh-rsa': ['rsa-sha2-512', 'rsa-sha2-256'],
  'sk-ssh-ed25519@openssh.com': ['sk-ssh-ed25519@openssh.com'],
  'sk-ecdsa-sha2-nistp256@openssh.com': ['sk-ecdsa-sha2-nistp256@openssh.com'],
})

/** FIDO key type → type of the key inside the authenticator (PROTOCOL.u2f). */
export const securityKeyTypes = table<string>({
  'sk-ssh-ed25519@openssh.com': 'ssh-ed25519',
  'sk-ecdsa-sha2-nistp256@openssh.com': 'ecdsa-sha2-nistp256',
})

/** Certificate blob format → format of the key inside it. */
export const certificateTypes = table<string>({
  'ssh-ed25519-cert-v01@openssh.com': 'ssh-ed25519',
  'ecdsa-sha2-nistp256-cert-v01@openssh.com': 'ecdsa-sha2-nistp256',
  'ecdsa-sha2-nistp384-cert-v01@openssh.com': 'ecdsa-sha2-nistp384',
  'ecdsa-sha2-nistp521-cert-v01@openssh.com': 'ecdsa-sha2-nistp521',
  'ssh-rsa-cert-v01@openssh.com': 'ssh-rsa',
  'sk-ssh-ed25519-cert-v01@openssh.com': 'sk-ssh-ed25519@openssh.com',
  'sk-ecdsa-sha2-nistp256-cert-v01@openssh.com': 'sk-ecdsa-sha2-nistp256@openssh.com',
})

export interface CertificateAlgorithm {
  /** Format of the certificate blob. */
  blob: string
  /** Format of the signature that goes with it. */
  signature: string
}

/**
 * Public-key algorithm name, as in userauth and KEXINIT → what it stands for. For RSA the algorithm names the hash,
 * the blob does not; `ssh-rsa-cert-v01@openssh.com` as an algorithm means SHA-1 and is absent on purpose.
 */
export const certificateAlgorithms = table<CertificateAlgorithm>({
  ...Object.fromEntries(
    Object.entries(certificateTypes)
      .filter(([, key]) => key !== 'ssh-rsa')
      .map(([blob, signature]) => [blob, {blob, signature}]),
  ),
  'rsa-sha2-512-cert-v01@openssh.com': {blob: 'ssh-rsa-cert-v01@openssh.com', signature: 'rsa-sha2-512'},
  'rsa-sha2-256-cert-v01@openssh.com': {blob: 'ssh-rsa-cert-v01@openssh.com', signature: 'rsa-sha2-256'},
})

/** The algorithm to offer for a certificate blob of this type. */
export const algorithmForCertificate = (blobType: string): string =>
  blobType === 'ssh-rsa-cert-v01@openssh.com' ? 'rsa-sha2-512-cert-v01@openssh.com' : blobType

/** Host key algorithms we ask targets for, certificates of the strongest first. */
export const hostCertificateAlgorithms: readonly string[] = [
  'ssh-ed25519-cert-v01@openssh.com',
  'ecdsa-sha2-nistp256-cert-v01@openssh.com',
  'ecdsa-sha2-nistp384-cert-v01@openssh.com',
  'ecdsa-sha2-nistp521-cert-v01@openssh.com',
  'rsa-sha2-512-cert-v01@openssh.com',
  'rsa-sha2-256-cert-v01@openssh.com',
]

export const plainHostKeyAlgorithms: readonly string[] = [
  'ssh-ed25519',
  'ecdsa-sha2-nistp256',
  'ecdsa-sha2-nistp384',
  'ecdsa-sha2-nistp521',
  'rsa-sha2-512',
  'rsa-sha2-256',
]
