// The cluster's authorities: their keys, the certificates they issue, and X.509 for HTTPS.
export {createWebCertificate, createX509Authority, type PemPair} from './x509.js'
export {type CertificateSummary, certifiableNames, readCertificate} from './x509-names.js'
