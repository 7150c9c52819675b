import {rm} from 'node:fs/promises'
import {writeFileAtomic} from '../../durable/index.js'
import {formatAuthorizedKey, parseAuthorizedKey, parseCertificate} from '../../sshcert/index.js'
import {type Profile, profilePaths} from '../identity/profile.js'

/** known_hosts lines by which stock clients believe every host that one of these authorities vouches for. */
export const knownHosts = (hostAuthorities: readonly string[], cluster: string): string =>
  hostAuthorities
    .map(
      line =>
        `@cert-authority * ${formatAuthorizedKey(parseAuthorizedKey(line).blob, `host CA of ${cluster}`)}\n`,
    )
    .join('')

/**
 * Writes what stock OpenSSH clients read: public key, certificate, known_hosts. The directory must exist. A public key
 * without its private half is not left lying: ssh would believe it can sign, and not ask the agent.
 */
export async function writeStockFiles(home: string, profile: Profile): Promise<void> {
  const paths = profilePaths(home, profile)
  const {publicKey, keyId} = parseCertificate(parseAuthorizedKey(profile.certificate).blob)
  if (profile.keyStore === 'file')
    await writeFileAtomic(paths.publicKey, `${formatAuthorizedKey(publicKey, keyId)}\n`)
  else await rm(paths.publicKey, {force: true})
  await writeFileAtomic(paths.certificate, `${profile.certificate}\n`)
  await writeFileAtomic(paths.knownHosts, knownHosts(profile.hostAuthorities, profile.cluster))
}
