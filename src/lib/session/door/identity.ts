import {type Identity, rolesOfExtension} from '../../access/index.js'
import type {Certificate} from '../../sshcert/index.js'

/** What a verified user certificate says about its holder. */
export const identityOf = (certificate: Certificate): Identity => ({
  user: certificate.keyId,
  roles: rolesOfExtension(certificate.extensions.get('teleport-roles')),
  logins: certificate.principals,
  validBefore: Number(certificate.validBefore),
})
