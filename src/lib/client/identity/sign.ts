import {generateKeyPairSync} from 'node:crypto'
import type {AuthApi} from '../../auth/contract.js'
import {problem} from '../../errors/index.js'
import {
  checkCertificate,
  formatAuthorizedKey,
  formatPrivateKey,
  parseAuthorizedKey,
  parseCertificate,
  publicKeyBlob,
} from '../../sshcert/index.js'
import {verifyIssued} from '../login/issued.js'
import {assertAbsent, writeCredentialFiles} from './credential-files.js'
import {type IdentityFormat, identityFiles, writeIdentity} from './identity-file.js'

export interface SignOptions {
  out: string
  overwrite: boolean
  ttlSeconds?: number
  now: () => number
}

const lifetime = ({ttlSeconds}: SignOptions) => (ttlSeconds === undefined ? {} : {ttlSeconds})

/**
 * Makes a host key here, has it certified for exactly these principals, and writes `out` and `out-cert.pub` as sshd's
 * HostKey and HostCertificate take them. Only the public key leaves this machine.
 * @returns the names of the files @throws already_exists, certificate_rejected, access_denied
 */
export async function signHost(
  api: Pick<AuthApi, 'signHost'>,
  principals: readonly string[],
  options: SignOptions,
): Promise<string[]> {
  const {out, overwrite, now} = options
  const names = identityFiles(out, 'openssh')
  await assertAbsent(names, overwrite)
  const {privateKey} = generateKeyPairSync('ed25519')
  const publicKey = publicKeyBlob(privateKey)
  const comment = principals[0] ?? ''
  const {certificate} = await api.signHost({
    ...{principals: [...principals], publicKey: formatAuthorizedKey(publicKey, comment)},
    ...lifetime(options),
  })
  const {blob} = parseAuthorizedKey(certificate)
  const issued = parseCertificate(blob)
  checkCertificate(issued, {kind: 'host', authorities: [issued.authority], now: now()})
  const asked = [...principals].sort().join()
  if (!issued.publicKey.equals(publicKey) || [...issued.principals].sort().join() !== asked)
    throw problem('certificate_rejected', 'the certificate that came back is not the one that was asked for')
  await writeCredentialFiles(
    [
      {path: out, data: formatPrivateKey(privateKey, comment), mode: 0o600},
      {path: `${out}-cert.pub`, data: `${formatAuthorizedKey(blob, comment)}\n`, mode: 0o644},
    ],
    overwrite,
  )
  return names
}

/**
 * Makes a key here, has it certified for a user, and writes an identity for automation.
 * @returns the names of the files @throws already_exists, certificate_rejected, access_denied
 */
export async function signUser(
  api: Pick<AuthApi, 'signUser'>,
  user: string,
  options: SignOptions & {format: IdentityFormat},
): Promise<string[]> {
  const {out, overwrite, now, format} = options
  await assertAbsent(identityFiles(out, format), overwrite)
  const {privateKey} = generateKeyPairSync('ed25519')
  const publicKey = publicKeyBlob(privateKey)
  const issued = await api.signUser({user, publicKey: formatAuthorizedKey(publicKey), ...lifetime(options)})
  const {blob, hostAuthorities} = verifyIssued(issued, {user, publicKey}, now())
  const identity = {privateKey, certificate: blob, hostAuthorities, cluster: issued.clusterName}
  return writeIdentity(out, identity, {format, overwrite})
}
