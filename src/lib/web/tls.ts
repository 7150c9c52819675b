import {createPrivateKey, type KeyObject, X509Certificate} from 'node:crypto'
import {open} from 'node:fs/promises'
import {hostname} from 'node:os'
import type {Logger} from 'pino'
import {problem, type SallyportError} from '../errors/index.js'
import {keptCertificate} from './self-signed.js'

/** What HTTPS is served with. */
export interface WebTls {
  /** PEM, leaf first. */
  cert: string
  /** PEM. */
  key: string
  /** Nobody vouches for it: clients have to be told to accept it. */
  selfSigned: boolean
}

export interface TlsOptions {
  dataDir: string
  /** `proxy_service.https_cert_file` and `https_key_file`: both or neither. */
  certFile?: string | undefined
  keyFile?: string | undefined
  /** Names and addresses by which users reach the service, beside this machine's name and its loopback. */
  names?: readonly string[]
  logger: Logger
  /** Unix ms. */
  now: () => number
}

/** Larger than any chain or key; read before anything is known of the file. */
const maxPemBytes = 1024 * 1024

/**
 * The certificate from the configuration, or a self-signed one kept in the data directory.
 * @throws config_invalid when a file cannot be read, does not fit the other, or its key may be read by anybody
 */
export async function loadTls({
  dataDir,
  certFile,
  keyFile,
  names = [],
  logger,
  now,
}: TlsOptions): Promise<WebTls> {
  if (certFile === undefined && keyFile === undefined) {
    const wanted = [hostname(), 'localhost', '127.0.0.1', '::1', ...names]
    return {...(await keptCertificate({dataDir, names: wanted, now: now()})), selfSigned: true}
  }
  if (certFile === undefined || keyFile === undefined) {
    const missing = certFile === undefined ? 'https_cert_file' : 'https_key_file'
    throw problem('config_invalid', `proxy_service.${missing} is missing`, {
      hint: 'set https_cert_file and https_key_file together, or neither',
    })
  }
  const cert = await readPem('https_cert_file', certFile)
  const key = await readPem('https_key_file', keyFile, {secret: true})
  const leaf = parseLeaf(certFile, cert)
  if (!leaf.checkPrivateKey(parseKey(keyFile, key))) {
    throw unusable('https_key_file', keyFile, 'it is not the key of the certificate in https_cert_file')
  }
  warnOfDates(leaf, now(), logger)
  return {cert, key, selfSigned: isSelfSigned(leaf)}
}

// Not checkIssued: it wants the right to sign certificates, which a leaf that signed itself need not have.
const isSelfSigned = (leaf: X509Certificate): boolean =>
  leaf.issuer === leaf.subject && leaf.verify(leaf.publicKey)

const unusable = (setting: string, path: string, reason: string, cause?: unknown): SallyportError =>
  problem('config_invalid', `proxy_service.${setting} cannot be used: ${path}: ${reason}`, {
    hint: 'correct the configuration or the file, then start again',
    cause,
  })

async function readPem(setting: string, path: string, {secret = false} = {}): Promise<string> {
  try {
    const file = await open(path, 'r')
    try {
      const {size, mode} = await file.stat()
      if (size > maxPemBytes) throw unusable(setting, path, 'it is larger than 1 MB')
      if (secret) assertPrivate(setting, path, mode)
      return await file.readFile('utf8')
    } finally {
      await file.close()
    }
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
    const reason = fileReasons[code]
    throw reason === undefined ? cause : unusable(setting, path, reason, cause)
  }
}

const fileReasons: Record<string, string> = {
  ENOENT: 'there is no such file',
  EACCES: 'this account may not read it',
  EISDIR: 'it is a directory',
  ENOTDIR: 'a part of its path is not a directory',
}

function assertPrivate(setting: string, path: string, mode: number): void {
  if ((mode & 0o077) === 0) return
  const octal = (mode & 0o777).toString(8).padStart(4, '0')
  throw problem('config_invalid', `proxy_service.${setting}: ${path} can be read by others (mode ${octal})`, {
    hint: `run: chmod 600 ${path}`,
  })
}

function parseLeaf(path: string, pem: string): X509Certificate {
  try {
    return new X509Certificate(pem)
  } catch (cause) {
    throw unusable('https_cert_file', path, 'it holds no PEM certificate', cause)
  }
}

function parseKey(path: string, pem: string): KeyObject {
  try {
    return createPrivateKey(pem)
  } catch (cause) {
    throw unusable('https_key_file', path, 'it holds no unencrypted PEM private key', cause)
  }
}

/** A warning and no more: an expired certificate must not keep an administrator out while he renews it. */
function warnOfDates({validFrom, validTo}: X509Certificate, now: number, logger: Logger): void {
  if (now >= Date.parse(validTo)) {
    logger.warn({expired: validTo}, 'the HTTPS certificate has expired: browsers and clients will refuse it')
  } else if (now < Date.parse(validFrom)) {
    logger.warn({begins: validFrom}, 'the HTTPS certificate is not valid yet: check it and the clock')
  }
}
