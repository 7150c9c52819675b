// The cluster's authorities: their keys, the certificates they issue, and X.509 for HTTPS.
export {
  type Authorities,
  type AuthoritiesOptions,
  type HostCertificateWish,
  openAuthorities,
  type UserCertificateWish,
} from './authorities.js'
export {authorityPin, parsePins, pinnedAuthority} from './ca-pin.js'
export {checkIssuance, type IssuanceLimits, type IssuanceRequest} from './issuance.js'
export {createSerials, type Serials} from './serials.js'
export {readTlsHost, type TlsHost, type TlsHostRole, type TlsHostWish} from './tls-host.js'
export {type AuthorityType, authorityTypes} from './types.js'
export {createWebCertificate, createX509Authority, type PemPair} from './x509.js'
export {type CertificateSummary, certifiableNames, readCertificate} from './x509-names.js'
