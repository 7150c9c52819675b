import {problem} from '../errors/index.js'
import {formatAuthorizedKey} from '../sshcert/index.js'
import type {AuthContext} from './context.js'
import type {AuthApi} from './contract.js'
import {issueFor, readPublicKey} from './login.js'
import {userKey} from './names.js'

/** A fleet is not re-enrolled every month; a stolen host key is answered by rotating the host CA. */
const defaultHostTtlSeconds = 365 * 24 * 3600
const maxHostTtlSeconds = 10 * 365 * 24 * 3600
const proxyHostTtlSeconds = 24 * 3600

type CertificateMethods = Pick<
  AuthApi,
  | 'signHost'
  | 'signUser'
  | 'issueProxyHostCertificate'
  | 'trustedAuthorities'
  | 'exportAuthorities'
  | 'listAuthorities'
>

/** Certificates that are not for somebody logging in, and the public half of the authorities. */
export function certificateMethods(context: AuthContext, actor: string): CertificateMethods {
  const {authorities, emit, now} = context
  const validBefore = (ttlSeconds: number): bigint =>
    BigInt(Math.floor(now() / 1000) + Math.floor(ttlSeconds))
  return {
    async signHost({principals, publicKey, ttlSeconds = defaultHostTtlSeconds}) {
      if (!(ttlSeconds >= 60 && ttlSeconds <= maxHostTtlSeconds)) {
        throw problem('invalid_input', 'a host certificate lives from one minute to ten years')
      }
      const blob = await authorities.issueHost({
        principals,
        publicKey: readPublicKey(publicKey),
        validBefore: validBefore(ttlSeconds),
        keyId: principals[0] ?? '',
      })
      await emit({event: 'cert.create', fields: {cert_type: 'host', by: actor, principals}})
      return {certificate: formatAuthorizedKey(blob, principals[0])}
    },
    async signUser({user: name, publicKey, ttlSeconds}) {
      const user = (await context.users.get(userKey(name)))?.value
      if (!user) throw problem('not_found', `there is no user ${JSON.stringify(name.slice(0, 80))}`)
      return issueFor(context, user, readPublicKey(publicKey), ttlSeconds)
    },
    issueProxyHostCertificate: ({principals, publicKey}) =>
      authorities.issueHost({
        principals,
        publicKey,
        validBefore: validBefore(proxyHostTtlSeconds),
        keyId: 'proxy',
        extensions: new Map([['x-teleport-role', 'Proxy']]),
      }),
    async trustedAuthorities() {
      return {
        user: authorities.publicKeys('user'),
        host: authorities.publicKeys('host'),
        openssh: authorities.publicKeys('openssh'),
      }
    },
    async exportAuthorities({type, fingerprint}) {
      return authorities.export(type, fingerprint === undefined ? {} : {fingerprint})
    },
    async listAuthorities() {
      return authorities.list()
    },
  }
}
