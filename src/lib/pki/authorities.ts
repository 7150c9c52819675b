import {sign} from 'node:crypto'
import type {Backend} from '../backend/index.js'
import {fingerprint, formatAuthorizedKey, issueCertificate, signerFromKey} from '../sshcert/index.js'
import {loadAuthorityKeys} from './authority-store.js'
import {exportKeys} from './export.js'
import {backdatedSeconds, checkIssuance, type IssuanceRequest} from './issuance.js'
import {createSerials} from './serials.js'
import {type AuthorityKey, type AuthorityType, authorityTypes, type SshAuthorityType} from './types.js'

export interface AuthoritiesOptions {
  backend: Backend
  clusterName: string
  /** Unix ms. */
  now?: () => number
  random?: (bytes: number) => Buffer
}

interface CertificateWish {
  /** Plain public key blob. */
  publicKey: Buffer
  principals: readonly string[]
  /** Unix seconds, exclusive. Valid from a minute ago, for clocks that are behind. */
  validBefore: bigint
  criticalOptions?: ReadonlyMap<string, string>
  extensions?: ReadonlyMap<string, string>
}

export interface UserCertificateWish extends CertificateWish {
  /** Becomes the key id. */
  user: string
}

export interface HostCertificateWish extends CertificateWish {
  keyId: string
}

/** The cluster's authorities. Private keys do not leave this room. */
export interface Authorities {
  /** Certificate blob, signed by the user authority. @throws invalid_input */
  issueUser(wish: UserCertificateWish): Promise<Buffer>
  /** Certificate blob, signed by the host authority. @throws invalid_input */
  issueHost(wish: HostCertificateWish): Promise<Buffer>
  /** Public key blobs that are trusted now, the one that signs first. */
  publicKeys(type: SshAuthorityType): Buffer[]
  /** All keys of all authorities, as authorized_keys lines. */
  list(): {type: AuthorityType; fingerprint: string; publicKey: string}[]
  /** See `exportKeys`. @throws not_found */
  export(type: AuthorityType, options?: {fingerprint?: string}): string
  /**
   * Base64 of the Ed25519 signature of the recording authority over
   * `sallyport-recording-v1 LF sid LF head LF`, which `verifyRecordingHead` of the recording room checks.
   */
  signRecordingHead(sid: string, head: string): string
}

/**
 * Opens the authorities kept in the backend, making them the first time.
 * @throws store_failed
 */
export async function openAuthorities(options: AuthoritiesOptions): Promise<Authorities> {
  const {backend, clusterName, now = Date.now, random} = options
  const keys = await loadAuthorityKeys(backend, clusterName, now)
  const serials = createSerials(backend, now, random)
  const signing = (type: AuthorityType): AuthorityKey => keys[type][0] as AuthorityKey

  const issue = async (request: IssuanceRequest & CertificateWish): Promise<Buffer> => {
    checkIssuance(request, now())
    const validAfter = BigInt(Math.floor(now() / 1000) - backdatedSeconds)
    const fields = {...request, serial: await serials.next(), validAfter}
    return issueCertificate(fields, signerFromKey(signing(request.kind).privateKey))
  }

  return {
    issueUser: ({user, ...wish}) => issue({...wish, kind: 'user', keyId: user}),
    issueHost: wish => issue({...wish, kind: 'host'}),
    publicKeys: type => keys[type].map(({publicBlob}) => publicBlob),
    list: () =>
      authorityTypes.flatMap(type =>
        keys[type].map(({publicBlob}) => ({
          type,
          fingerprint: fingerprint(publicBlob),
          publicKey: formatAuthorizedKey(publicBlob, `clustername=${clusterName}&type=${type}`),
        })),
      ),
    export: (type, {fingerprint: wanted} = {}) => exportKeys(type, keys[type], clusterName, wanted),
    signRecordingHead: (sid, head) =>
      sign(
        null,
        Buffer.from(`sallyport-recording-v1\n${sid}\n${head}\n`),
        signing('recording').privateKey,
      ).toString('base64'),
  }
}
