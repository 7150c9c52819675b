import {createPrivateKey, type KeyObject} from 'node:crypto'
import {type Certificate, parseCertificate} from '../sshcert/index.js'
import type {HostIdentity} from './host-keys.js'

/** A server's key and its certificates, as they outlive a process. */
export interface HostKeys {
  /** PKCS#8 PEM. */
  privateKey: string
  /** Blobs. */
  certificates: readonly Buffer[]
}

/** Where a server that gets its certificates from elsewhere keeps them, to begin again while nobody issues any. */
export interface HostKeyStore {
  /** Those of the process before; absent where certificates can be had now. */
  begun?: HostKeys
  /** From now on these are the ones to begin with. Asked when they are written. */
  keep(keys: () => HostKeys): Promise<void>
}

export interface KeptIdentity {
  identity: HostIdentity
  principals: readonly string[]
  /** Unix ms. */
  expires: number
}

/** The identities that are good for some time. `until` is Unix ms. @throws for a key that is none */
export function keptIdentities({privateKey, certificates}: HostKeys, until: number): KeptIdentity[] {
  const key = createPrivateKey(privateKey)
  return certificates
    .map(publicBlob => keptIdentity(key, publicBlob, parseCertificate(publicBlob)))
    .filter(({expires}) => expires > until)
}

const keptIdentity = (
  privateKey: KeyObject,
  publicBlob: Buffer,
  {principals, validBefore}: Certificate,
): KeptIdentity => ({
  ...{identity: {privateKey, publicBlob}, principals},
  expires: Number(validBefore) * 1000,
})

export const pemOf = (key: KeyObject): string => key.export({type: 'pkcs8', format: 'pem'}).toString()
