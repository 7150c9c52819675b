import type {Identity} from '../access/types.js'
import type {Certificate} from '../sshcert/index.js'

/**
 * What a verified user certificate says about its holder. Roles are in the extension that Teleport uses, so its
 * certificates read the same: `teleport-roles` = `{"version":"v1","roles":[…]}`.
 */
export const identityOf = (certificate: Certificate): Identity => ({
  user: certificate.keyId,
  roles: readRoles(certificate.extensions.get('teleport-roles')),
  logins: certificate.principals,
  validBefore: Number(certificate.validBefore),
})

function readRoles(extension: string | undefined): string[] {
  if (extension === undefined) return []
  try {
    const {roles} = JSON.parse(extension) as {roles?: unknown}
    return Array.isArray(roles) ? roles.filter(role => typeof role === 'string') : []
  } catch {
    // An authority of ours never writes anything else; without roles nothing is allowed.
    return []
  }
}
