import type {KeyObject} from 'node:crypto'
import {problem} from '../../errors/index.js'
import {
  formatAuthorizedKey,
  formatPrivateKey,
  parseAuthorizedKey,
  parseCertificate,
  parsePrivateKey,
  publicKeyBlob,
} from '../../sshcert/index.js'
import {writeCredentialFiles} from './credential-files.js'
import {readOwnFile} from './private-file.js'

/** `file`: one file with everything. `openssh`: `name` and `name-cert.pub`, as ssh-keygen writes them. */
export type IdentityFormat = 'file' | 'openssh'

/** What a machine needs to act as a user: a key, its certificate, and who vouches for hosts. */
export interface StoredIdentity {
  privateKey: KeyObject
  certificate: Buffer
  /** Plain public key blobs. */
  hostAuthorities: Buffer[]
  cluster: string
}

const maxAuthorities = 64

/** Names of the files that an identity is written to. */
export const identityFiles = (out: string, format: IdentityFormat): string[] =>
  format === 'file' ? [out] : [out, `${out}-cert.pub`]

/**
 * One identity file: the private key, the certificate line, and a known_hosts line for each host authority.
 * Stock `ssh -i` reads the key of it.
 */
export function formatIdentity({privateKey, certificate, hostAuthorities, cluster}: StoredIdentity): string {
  const {keyId} = parseCertificate(certificate)
  return [
    formatPrivateKey(privateKey, keyId).trimEnd(),
    formatAuthorizedKey(certificate, keyId),
    ...hostAuthorities.map(blob => `@cert-authority *.${cluster} ${formatAuthorizedKey(blob)}`),
    '',
  ].join('\n')
}

/** Reads what `formatIdentity` wrote. @throws invalid_input */
export function parseIdentity(text: string): StoredIdentity {
  const privateKey = parsePrivateKey(text)
  const lines = text
    .slice(text.lastIndexOf('-----END'))
    .split('\n')
    .map(line => line.trim())
  const certificateLine = lines.find(line => line.includes('-cert-v01@openssh.com '))
  if (certificateLine === undefined) throw problem('invalid_input', 'the identity file holds no certificate')
  const authorityLines = lines.filter(line => line.startsWith('@cert-authority '))
  if (authorityLines.length === 0 || authorityLines.length > maxAuthorities)
    throw problem('invalid_input', `the identity file holds ${authorityLines.length} host authorities`)
  const certificate = parseAuthorizedKey(certificateLine).blob
  if (!parseCertificate(certificate).publicKey.equals(publicKeyBlob(privateKey)))
    throw problem('invalid_input', 'the certificate in the identity file is for another key')
  const hosts = authorityLines.map(parseAuthorityLine)
  return {
    privateKey,
    certificate,
    hostAuthorities: hosts.map(({blob}) => blob),
    cluster: hosts[0]?.cluster ?? '',
  }
}

function parseAuthorityLine(line: string): {cluster: string; blob: Buffer} {
  const [, cluster, key] = /^@cert-authority \*\.(\S+) (.+)$/.exec(line) ?? []
  if (cluster === undefined || key === undefined)
    throw problem('invalid_input', 'the identity file holds a host authority that cannot be read')
  return {cluster, blob: parseAuthorizedKey(key).blob}
}

/** @throws not_found, invalid_input when others can read it */
export async function readIdentityFile(path: string): Promise<StoredIdentity> {
  const text = await readOwnFile(path, {secret: true})
  if (text === undefined) throw problem('not_found', `there is no identity file ${path}`)
  return parseIdentity(text)
}

/**
 * Writes an identity and returns the names of the files.
 * @throws already_exists unless `overwrite`
 */
export async function writeIdentity(
  out: string,
  identity: StoredIdentity,
  {format, overwrite}: {format: IdentityFormat; overwrite: boolean},
): Promise<string[]> {
  const {keyId} = parseCertificate(identity.certificate)
  const files =
    format === 'file'
      ? [{path: out, data: formatIdentity(identity), mode: 0o600}]
      : [
          {path: out, data: formatPrivateKey(identity.privateKey, keyId), mode: 0o600},
          {
            path: `${out}-cert.pub`,
            data: `${formatAuthorizedKey(identity.certificate, keyId)}\n`,
            mode: 0o644,
          },
        ]
  await writeCredentialFiles(files, overwrite)
  return files.map(({path}) => path)
}
