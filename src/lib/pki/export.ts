import {problem} from '../errors/index.js'
import {fingerprint as fingerprintOf, formatAuthorizedKey} from '../sshcert/index.js'
import type {AuthorityKey, AuthorityType} from './types.js'

/**
 * The public keys of one authority as text: lines for TrustedUserCAKeys after `sed 's/cert-authority //'` (user,
 * openssh), lines for known_hosts (host), PEM certificates (tls-host, tls-user), plain public key lines (recording).
 * @param fingerprint only the key that has it, `SHA256:…`
 * @throws not_found when no key has that fingerprint
 */
export function exportKeys(
  type: AuthorityType,
  keys: readonly AuthorityKey[],
  clusterName: string,
  fingerprint?: string,
): string {
  const chosen = keys.filter(
    ({publicBlob}) => fingerprint === undefined || fingerprintOf(publicBlob) === fingerprint,
  )
  if (chosen.length === 0)
    throw problem('not_found', `the ${type} authority has no key with this fingerprint`, {
      hint: 'see `sallyport auth ls`',
    })
  return chosen.map(key => `${exportKey(type, key, clusterName).trimEnd()}\n`).join('')
}

function exportKey(type: AuthorityType, key: AuthorityKey, clusterName: string): string {
  const line = formatAuthorizedKey(key.publicBlob, `clustername=${clusterName}&type=${type}`)
  switch (type) {
    case 'user':
    case 'openssh':
      return `cert-authority ${line}`
    case 'host':
      return `@cert-authority *.${clusterName} ${line}`
    case 'recording':
      return line
    case 'tls-host':
    case 'tls-user':
      if (key.certificate === undefined)
        throw problem('store_failed', `the stored ${type} authority has no certificate`)
      return key.certificate
  }
}
