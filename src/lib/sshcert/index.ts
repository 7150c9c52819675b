// OpenSSH certificates and keys: wire codec, issuing, checking. Pure; node:crypto only (PROTOCOL.certkeys, PROTOCOL.key).
export * from './algorithms.js'
export {
  type Certificate,
  type CertificateFields,
  type CertificateKind,
  issueCertificate,
  parseCertificate,
} from './certificate.js'
export {type CertificatePolicy, checkCertificate} from './checker.js'
export {type HostRole, hostRoleExtensions, hostRoleOf} from './host-role.js'
export {
  blobType,
  exportJwk,
  fingerprint,
  formatAuthorizedKey,
  parseAuthorizedKey,
  publicKeyBlob,
  publicKeyFromBlob,
} from './keys.js'
export {isPinned, pinTo} from './pin.js'
export {isPrincipal} from './principal.js'
export {formatPrivateKey, parsePrivateKey, privateKeyFields} from './private-key.js'
export {signData, verifySignature} from './signature.js'
export {type Signer, signerFromKey} from './signer.js'
export {WireReader, WireWriter} from './wire.js'
