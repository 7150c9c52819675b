/** How a plain sshd host asks to be enrolled. */
export interface EnrolRequest {
  /** A join token for `openssh`; not needed by an administrator. */
  token?: string
  /** authorized_keys line of the host's Ed25519 key. */
  publicKey: string
  hostname: string
  /** More names and addresses that users ask for it by. */
  names?: string[]
  /** `host:port` of its sshd. Absent: the address it calls from, with `port`. */
  address?: string
  port?: number
  labels?: Record<string, string>
  /** UUID that it was given before: it is enrolled anew. */
  id?: string
  /** Base64: over `enrolmentBytes`, by the host's key. A public key alone, which everybody can see, enrols nothing. */
  signature: string
}

/** What an enrolled host needs for its sshd. */
export interface Enrolment {
  id: string
  clusterName: string
  hostname: string
  address: string
  /** Certificate line over the host's key. */
  certificate: string
  principals: string[]
  /** authorized_keys lines of the user authority, for `TrustedUserCAKeys`. */
  userAuthorities: string[]
  /** authorized_keys lines of the host authority, by which the certificate is verified. */
  hostAuthorities: string[]
}

/** What the key of a host signs when it asks to be enrolled: every word of the request. */
export function enrolmentBytes(request: Omit<EnrolRequest, 'signature'>): Buffer {
  const {token = '', publicKey, hostname, names = [], address = '', port = 0, labels = {}, id = ''} = request
  const words = [token, publicKey, hostname, names, address, port, Object.entries(labels).sort(), id]
  return Buffer.from(`sallyport-enrol-v1\n${JSON.stringify(words)}`)
}
