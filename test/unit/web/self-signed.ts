import {createWebCertificate} from '../../../src/lib/pki/index.js'

/** A fresh key and self-signed certificate for this machine's loopback, good from now for `days`. */
export async function selfSignedPem(days = 30): Promise<{cert: string; key: string}> {
  const {certificate, privateKey} = await createWebCertificate({
    names: ['localhost', '127.0.0.1'],
    now: Date.now(),
    lifetimeMs: days * 24 * 3600 * 1000,
  })
  return {cert: certificate, key: privateKey}
}
