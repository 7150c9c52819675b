import {generateKeyPairSync} from 'node:crypto'
import {type HostIdentity, type HostKeyStore, keptIdentities, pemOf} from '../ssh/index.js'
import {parseCertificate, publicKeyBlob} from '../sshcert/index.js'
import type {NodeAuth} from './types.js'

/** A certificate with less than this left is replaced as soon as the auth service can be reached. */
const renewMilliseconds = 12 * 3600_000

/** The host certificate by which the node is known, over a key that never leaves the process. */
export interface HostCertificate {
  current(): HostIdentity
  /** Replaces one that has not long to live any more. */
  renew(): Promise<void>
}

export interface HostCertificateOptions {
  auth: Pick<NodeAuth, 'issueNodeHostCertificate'>
  nodename: string
  /** Unix ms. */
  now: () => number
  hostKeys?: HostKeyStore
}

/**
 * A new one, or, while nobody issues any, that of the process before.
 * @throws what the auth service says: a node without a certificate serves nobody
 */
export async function obtainHostCertificate({
  auth,
  nodename,
  now,
  hostKeys,
}: HostCertificateOptions): Promise<HostCertificate> {
  const [begun] = hostKeys?.begun ? keptIdentities(hostKeys.begun, now()) : []
  const privateKey = begun?.identity.privateKey ?? generateKeyPairSync('ed25519').privateKey
  const publicKey = publicKeyBlob(privateKey)
  const issue = async (): Promise<HostIdentity> => {
    const publicBlob = await auth.issueNodeHostCertificate({nodename, publicKey})
    await hostKeys?.keep(() => ({privateKey: pemOf(privateKey), certificates: [publicBlob]}))
    return {privateKey, publicBlob}
  }
  let identity = begun?.identity ?? (await issue())
  return {
    current: () => identity,
    async renew() {
      const {validBefore, principals} = parseCertificate(identity.publicBlob)
      // Another machine that had the name may be gone by now.
      const isNameless = !principals.includes(nodename.toLowerCase())
      if (isNameless || Number(validBefore) * 1000 - now() < renewMilliseconds) identity = await issue()
    },
  }
}
