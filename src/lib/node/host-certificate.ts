import {generateKeyPairSync} from 'node:crypto'
import type {HostIdentity} from '../ssh/index.js'
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

/** @throws what the auth service says: a node without a certificate serves nobody */
export async function obtainHostCertificate(
  auth: Pick<NodeAuth, 'issueNodeHostCertificate'>,
  nodename: string,
  now: () => number,
): Promise<HostCertificate> {
  const {privateKey} = generateKeyPairSync('ed25519')
  const publicKey = publicKeyBlob(privateKey)
  const issue = async (): Promise<HostIdentity> => ({
    privateKey,
    publicBlob: await auth.issueNodeHostCertificate({nodename, publicKey}),
  })
  let identity = await issue()
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
