import {generateKeyPairSync} from 'node:crypto'
import {join} from 'node:path'
import {type Backend, openSqliteBackend} from '../../../src/lib/backend/index.js'
import {type Authorities, openAuthorities} from '../../../src/lib/pki/index.js'
import {publicKeyBlob} from '../../../src/lib/sshcert/index.js'
import {atEnd} from '../../support/cleanup.js'
import {temporaryDirectory} from '../../support/temporary-directory.js'

/** A Unix time in ms, and the second it lies in. */
export const now = Date.UTC(2030, 0, 2, 3, 4, 5, 678)
export const second = BigInt(Math.floor(now / 1000))
export const clusterName = 'acme.example'

export async function openBackend(): Promise<Backend> {
  const backend = await openSqliteBackend({path: join(temporaryDirectory(), 'state', 'state.db')})
  atEnd(() => void backend.close())
  return backend
}

export const open = async (backend?: Backend): Promise<Authorities> =>
  openAuthorities({backend: backend ?? (await openBackend()), clusterName, now: () => now})

export const ed25519Blob = (): Buffer => publicKeyBlob(generateKeyPairSync('ed25519').publicKey)
