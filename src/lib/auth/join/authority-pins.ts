import {authorityPin} from '../../pki/index.js'

/** The pins of X.509 authorities in PEM, one after the other, as machines that join compare them. */
export const authorityPins = (pem: string): string[] =>
  (pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []).map(one =>
    authorityPin(one),
  )
