import {asProblem, problem} from '../../errors/index.js'
import type {HostCertificateWish} from '../../pki/index.js'
import {formatAuthorizedKey, hostRoleExtensions} from '../../sshcert/index.js'
import type {AuthContext} from '../context.js'
import type {AuthApi, Caller} from '../contract.js'
import {freeNames} from '../join/node-claims.js'
import {nodeHostTtlSeconds, nodePrincipals} from '../join/node-names.js'
import {userKey} from '../names.js'
import {issueFor, readPublicKey} from './login.js'

/** A fleet is not re-enrolled every month; a stolen host key is answered by rotating the host CA. */
export const defaultHostTtlSeconds = 365 * 24 * 3600
const maxHostTtlSeconds = 10 * 365 * 24 * 3600
const proxyHostTtlSeconds = 24 * 3600

type CertificateMethods = Pick<
  AuthApi,
  | 'signHost'
  | 'signUser'
  | 'issueProxyHostCertificate'
  | 'issueNodeHostCertificate'
  | 'trustedAuthorities'
  | 'exportAuthorities'
  | 'listAuthorities'
>

/** Certificates that are not for somebody logging in, and the public half of the authorities. */
export function certificateMethods(context: AuthContext, actor: string, caller: Caller): CertificateMethods {
  const {authorities, emit, now} = context
  const {clusterName} = context.settings
  const validBefore = (ttlSeconds: number): bigint =>
    BigInt(Math.floor(now() / 1000) + Math.floor(ttlSeconds))
  /** Puts a refusal on record with what was asked for. */
  const refusals = async <T>(fields: Record<string, unknown>, work: () => Promise<T>): Promise<T> => {
    try {
      return await work()
    } catch (error) {
      await emit({event: 'cert.create', success: false, error: asProblem(error).message, fields})
      throw error
    }
  }
  /** Issues and puts on record, before anybody gets the certificate. */
  const issueHost = (wish: HostCertificateWish, fields: Record<string, unknown>): Promise<Buffer> =>
    refusals(fields, async () => {
      const blob = await authorities.issueHost(wish)
      await emit({event: 'cert.create', fields})
      return blob
    })
  return {
    async signHost({principals, publicKey, ttlSeconds = defaultHostTtlSeconds}) {
      const fields = {cert_type: 'host', by: actor, principals}
      const key = await refusals(fields, async () => {
        if (ttlSeconds >= 60 && ttlSeconds <= maxHostTtlSeconds) return readPublicKey(publicKey)
        throw problem('invalid_input', 'a host certificate lives from one minute to ten years')
      })
      const wish = {principals, publicKey: key, validBefore: validBefore(ttlSeconds)}
      const blob = await issueHost({...wish, keyId: principals[0] || 'host'}, fields)
      return {certificate: formatAuthorizedKey(blob, principals[0])}
    },
    signUser({user: name, publicKey, ttlSeconds}) {
      return refusals({cert_type: 'user', by: actor, name}, async () => {
        const user = (await context.users.get(userKey(name)))?.value
        if (!user) throw problem('not_found', `there is no user ${JSON.stringify(name.slice(0, 80))}`)
        return issueFor(context, user, {publicKey: readPublicKey(publicKey), ttlSeconds})
      })
    },
    issueProxyHostCertificate({principals, publicKey}) {
      const extensions = hostRoleExtensions('Proxy', clusterName)
      const wish = {principals, publicKey, validBefore: validBefore(proxyHostTtlSeconds), extensions}
      return issueHost({...wish, keyId: 'proxy'}, {cert_type: 'host', by: 'proxy', principals})
    },
    async issueNodeHostCertificate({nodename, publicKey}) {
      const fields = {cert_type: 'host', by: 'node', name: nodename.slice(0, 255)}
      const principals = await refusals(fields, async () =>
        freeNames(context, caller, nodePrincipals(caller, nodename, clusterName)),
      )
      const extensions = hostRoleExtensions('Node', clusterName)
      const wish = {principals, publicKey, validBefore: validBefore(nodeHostTtlSeconds), extensions}
      return issueHost({...wish, keyId: principals[0] ?? 'node'}, {...fields, principals})
    },
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
