import {createPrivateKey, X509Certificate} from 'node:crypto'
import {open} from 'node:fs/promises'
import {join} from 'node:path'
import {ensurePrivateDirectory, isMissing, writeFileAtomic} from '../durable/index.js'
import {DAY_MS} from '../names/index.js'
import {certifiableNames, createWebCertificate, readCertificate} from '../pki/index.js'

/** Under the 398 days that browsers allow a certificate someone may have chosen to trust. */
const lifetimeMs = 365 * DAY_MS
const renewBeforeMs = 30 * DAY_MS

interface Kept {
  /** PEM. */
  cert: string
  /** PEM. */
  key: string
}

/**
 * The self-signed certificate kept in `dataDir`, made anew when it is missing, damaged, readable by others, about to
 * expire (30 days) or made for other names. Key and certificate share one file, so that a crash cannot leave one
 * without the other.
 * @param names host names and IP addresses; whatever a certificate cannot hold is left out
 * @param now Unix ms
 */
export async function keptCertificate({
  dataDir,
  names,
  now,
}: {
  dataDir: string
  names: readonly string[]
  now: number
}): Promise<Kept> {
  const path = join(dataDir, 'https.pem')
  const wanted = certifiableNames(names)
  const kept = await readKept(path)
  if (kept && isCurrent(kept.cert, wanted, now)) return kept

  const {certificate: cert, privateKey: key} = await createWebCertificate({names: wanted, now, lifetimeMs})
  await ensurePrivateDirectory(dataDir)
  await writeFileAtomic(path, key + cert, {mode: 0o600})
  return {cert, key}
}

async function readKept(path: string): Promise<Kept | undefined> {
  const text = await readPrivate(path)
  const [key] = /-----BEGIN PRIVATE KEY-----[\s\S]*?-----END PRIVATE KEY-----\n/.exec(text ?? '') ?? []
  const [cert] = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----\n/.exec(text ?? '') ?? []
  return key !== undefined && cert !== undefined && belongTogether(cert, key) ? {cert, key} : undefined
}

/** Nothing where the file is missing, or where others may have read the key in it. */
async function readPrivate(path: string): Promise<string | undefined> {
  try {
    const file = await open(path, 'r')
    try {
      const {mode} = await file.stat()
      return (mode & 0o077) === 0 ? await file.readFile('utf8') : undefined
    } finally {
      await file.close()
    }
  } catch (thrown) {
    if (isMissing(thrown)) return undefined
    throw thrown
  }
}

function belongTogether(cert: string, key: string): boolean {
  try {
    return new X509Certificate(cert).checkPrivateKey(createPrivateKey(key))
  } catch {
    // Damaged beyond parsing: as good as missing, and replaced like it.
    return false
  }
}

function isCurrent(cert: string, wanted: readonly string[], now: number): boolean {
  const {names, notBefore, notAfter} = readCertificate(cert)
  const same = names.length === wanted.length && wanted.every(name => names.includes(name))
  return same && notBefore <= now && now < notAfter - renewBeforeMs
}
