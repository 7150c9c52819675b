import {sign} from 'node:crypto'
import type {Backend} from '../backend/index.js'
import {problem} from '../errors/index.js'
import {fingerprint, formatAuthorizedKey, issueCertificate, signerFromKey} from '../sshcert/index.js'
import {loadAuthorityKeys} from './authority-store.js'
import {exportKeys} from './export.js'
import {backdatedSeconds, checkIssuance, defaultMaxTtlSeconds, type IssuanceRequest} from './issuance.js'
import {createSerials} from './serials.js'
import {issueTlsHost, type TlsHostWish} from './tls-host.js'
import {type AuthorityKey, type AuthorityType, authorityTypes} from './types.js'

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
  /** Exact logins or host names. */
  principals: readonly string[]
  /** Unix seconds. A minute ago unless given, for clocks that are behind. */
  validAfter?: bigint
  /** Unix seconds, exclusive. */
  validBefore: bigint
  criticalOptions?: ReadonlyMap<string, string>
  extensions?: ReadonlyMap<string, string>
}

export interface UserCertificateWish extends CertificateWish {
  /** Becomes the key id. */
  user: string
  /** Longest validity from now on; 30 hours unless given. */
  maxTtlSeconds?: number
}

/** Valid for ten years at most. The extension `x-teleport-authority`, the cluster's name, is added. */
export interface HostCertificateWish extends CertificateWish {
  keyId: string
}

/** The cluster's authorities. Private keys do not leave this room. */
export interface Authorities {
  /** Certificate blob, signed by the user authority. @throws invalid_input */
  issueUser(wish: UserCertificateWish): Promise<Buffer>
  /** Certificate blob, signed by the host authority. @throws invalid_input */
  issueHost(wish: HostCertificateWish): Promise<Buffer>
  /** SSH public key blobs that are trusted now, the one that signs first. */
  publicKeys(type: AuthorityType): Buffer[]
  /** All keys of all authorities, as authorized_keys lines. */
  list(): {type: AuthorityType; fingerprint: string; publicKey: string}[]
  /** See `exportKeys`. @throws not_found */
  export(type: AuthorityType, options?: {fingerprint?: string}): string
  /**
   * Base64 of the Ed25519 signature of the recording authority over
   * `sallyport-recording-v1 LF sid LF head LF`, which `verifyRecordingHead` of the recording room checks.
   */
  signRecordingHead(sid: string, head: string): string
  /** Base64 of the Ed25519 signature of the recording authority over a checkpoint, an anchor or a head of the audit log. */
  signAuditStatement(message: Buffer): string
  /** SSH public key blobs to check such signatures with. */
  recordingPublicKeys(): Buffer[]
  /** X.509 certificate of a role of this cluster on one machine, PEM, signed by the tls-host authority. */
  issueTlsHost(wish: TlsHostWish): Promise<string>
  /** X.509 certificates of the tls-host authority, PEM, the one that signs first. */
  tlsHostAuthorities(): string[]
}

/**
 * Opens the authorities kept in the backend, making them the first time.
 * @throws store_failed, invalid_input for a cluster name that cannot stand in a line of known_hosts
 */
export async function openAuthorities(options: AuthoritiesOptions): Promise<Authorities> {
  const {backend, clusterName, now = Date.now, random} = options
  checkClusterName(clusterName)
  const keys = await loadAuthorityKeys(backend, clusterName, now)
  const serials = createSerials(backend, now, random)
  const signing = (type: AuthorityType): AuthorityKey => keys[type][0]
  // Copies: what is handed out cannot change what is trusted.
  const blobs = (type: AuthorityType): Buffer[] => keys[type].map(({publicBlob}) => Buffer.from(publicBlob))
  const all = authorityTypes.flatMap(blobs)

  const issue = async (
    wish: CertificateWish & Pick<IssuanceRequest, 'kind' | 'keyId'>,
    maxTtlSeconds: number,
  ): Promise<Buffer> => {
    const time = now()
    const {kind, keyId, publicKey, principals, validBefore, criticalOptions, extensions} = wish
    const {validAfter = BigInt(Math.floor(time / 1000) - backdatedSeconds)} = wish
    const request = {kind, keyId, publicKey, principals, validAfter, validBefore}
    checkIssuance(request, {now: time, maxTtlSeconds, authorities: all})
    const fields = {
      ...request,
      serial: await serials.next(),
      ...(criticalOptions ? {criticalOptions} : {}),
      ...(extensions ? {extensions} : {}),
    }
    return issueCertificate(fields, signerFromKey(signing(kind).privateKey))
  }

  return {
    issueUser: ({user, maxTtlSeconds = defaultMaxTtlSeconds.user, ...wish}) =>
      issue({...wish, kind: 'user', keyId: user}, maxTtlSeconds),
    issueHost: ({extensions = [], ...wish}) =>
      issue(
        {
          ...wish,
          kind: 'host',
          extensions: new Map([...extensions, ['x-teleport-authority', clusterName]]),
        },
        defaultMaxTtlSeconds.host,
      ),
    publicKeys: blobs,
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
    signAuditStatement: message => {
      if (!/^sallyport-audit-(checkpoint|anchor|head)-v1\n/.test(message.toString('latin1')))
        throw problem('internal', 'only a checkpoint, an anchor or a head of the audit log is signed as one')
      return sign(null, message, signing('recording').privateKey).toString('base64')
    },
    recordingPublicKeys: () => blobs('recording'),
    issueTlsHost: wish => issueTlsHost(signing('tls-host'), {...wish, clusterName, now: now()}),
    tlsHostAuthorities: () => keys['tls-host'].map(({certificate = ''}) => certificate),
  }
}

/** A blank or comma would end the host pattern of an exported line early, `*` would widen it. */
function checkClusterName(name: string): void {
  if (!/^[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$/.test(name))
    throw problem('invalid_input', `${JSON.stringify(name.slice(0, 64))} cannot be a cluster name`)
}
