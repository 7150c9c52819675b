import {execFile} from 'node:child_process'
import {mkdtemp, readFile, rm} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {promisify} from 'node:util'

const run = promisify(execFile)

/** A fresh P-256 key and a self-signed certificate, by openssl. `days` may be negative: already expired. */
export async function selfSignedPem(days = 30): Promise<{cert: string; key: string}> {
  const directory = await mkdtemp(join(tmpdir(), 'web-tls-'))
  try {
    const [key, cert] = [join(directory, 'key.pem'), join(directory, 'cert.pem')]
    const names = 'subjectAltName=DNS:localhost,IP:127.0.0.1'
    await run('openssl', [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'],
      ...['-keyout', key, '-out', cert, '-subj', '/CN=localhost', '-days', String(days), '-addext', names],
    ])
    return {cert: await readFile(cert, 'utf8'), key: await readFile(key, 'utf8')}
  } finally {
    await rm(directory, {recursive: true})
  }
}
