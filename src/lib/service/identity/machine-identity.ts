import {createPublicKey, X509Certificate} from 'node:crypto'
import {join} from 'node:path'
import {z} from 'zod'
import {createMachineKey} from '../../auth/index.js'
import {isMissing, readSmallFile, writeFileAtomic} from '../../durable/index.js'
import {problem} from '../../errors/index.js'

const schema = z.strictObject({
  version: z.literal(1),
  /** PKCS#8 PEM, P-256: one key for all roles of the machine. */
  key: z.string(),
  /** Absent until the machine has joined. */
  clusterName: z.string().optional(),
  /** X.509 certificates of the authority that the auth service is believed by, PEM. */
  authorities: z.array(z.string()),
  certificates: z.array(z.strictObject({role: z.enum(['proxy', 'node']), certificate: z.string()})),
})

/** What a machine got when it joined, as kept in `<data-dir>/identity.json`. */
export type MachineIdentity = z.output<typeof schema>

const fileOf = (dataDir: string): string => join(dataDir, 'identity.json')

/**
 * The identity of this machine; a fresh one, with a key and nothing else, where there is none. The key is kept before
 * anybody is told of it: a machine that lost the answer to its request to join is still the same machine.
 * @throws store_failed for a file that cannot be read: it is never replaced
 */
export async function loadMachineIdentity(dataDir: string): Promise<MachineIdentity> {
  const text = await readSmallFile(fileOf(dataDir)).catch(cause => {
    if (isMissing(cause)) return undefined
    throw unreadable(cause)
  })
  if (text !== undefined) return parse(text)
  const fresh: MachineIdentity = {
    version: 1,
    ...{key: createMachineKey().key, authorities: [], certificates: []},
  }
  await keepIdentity(dataDir, fresh)
  return fresh
}

export const keepIdentity = (dataDir: string, identity: MachineIdentity): Promise<void> =>
  writeFileAtomic(fileOf(dataDir), `${JSON.stringify(identity, undefined, 2)}\n`, {mode: 0o600})

function parse(text: string): MachineIdentity {
  try {
    return schema.parse(JSON.parse(text))
  } catch {
    // The parser's own words could hold parts of the key.
    throw unreadable()
  }
}

const unreadable = (cause?: unknown) =>
  problem('store_failed', 'what this machine got when it joined the cluster cannot be read', {
    hint: 'restore identity.json in the data directory, or remove it and host_uuid to join anew',
    cause,
  })

/** The public half of the key, as `join` takes it. */
export const publicKeyOf = ({key}: MachineIdentity): string =>
  createPublicKey(key).export({type: 'spki', format: 'pem'}).toString()

/** The certificate of a role that is good for at least so long. Unix ms. */
export function currentCertificate(
  {certificates}: MachineIdentity,
  role: 'proxy' | 'node',
  until: number,
): string | undefined {
  const found = certificates.find(one => one.role === role)?.certificate
  return found !== undefined && Date.parse(new X509Certificate(found).validTo) > until ? found : undefined
}
