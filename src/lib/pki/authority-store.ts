import {createPrivateKey, generateKeyPairSync, type KeyObject, X509Certificate} from 'node:crypto'
import {z} from 'zod'
import type {Backend} from '../backend/index.js'
import {problem} from '../errors/index.js'
import {publicKeyBlob} from '../sshcert/index.js'
import {type AuthorityKey, type AuthorityKeys, type AuthorityType, authorityTypes} from './types.js'
import {createX509Authority} from './x509.js'

/** All authorities are one item: they are made together, and a rotation changes them in one step. */
const itemKey = 'authorities/keys'

const storedKey = z.strictObject({
  /** PKCS#8 PEM. */
  privateKey: z.string(),
  created: z.number(),
  certificate: z.string().exactOptional(),
})
type StoredKey = z.output<typeof storedKey>

const keysOfOne = z.tuple([storedKey], storedKey)
const storedSchema = z.strictObject({
  version: z.literal(1),
  keys: z.strictObject({
    user: keysOfOne,
    host: keysOfOne,
    openssh: keysOfOne,
    'tls-host': keysOfOne,
    'tls-user': keysOfOne,
    recording: keysOfOne,
  } satisfies Record<AuthorityType, typeof keysOfOne>),
})
type Stored = z.output<typeof storedSchema>

/**
 * The keys of the cluster's authorities, made on the first call. Of several first calls at once, one makes them and
 * all get the same.
 * @throws store_failed when what is stored cannot be read: it is never replaced by new keys
 */
export async function loadAuthorityKeys(
  backend: Backend,
  clusterName: string,
  now: () => number,
): Promise<AuthorityKeys> {
  const found = await backend.get(itemKey)
  if (found) return decode(found.value)
  const made = await makeAuthorities(clusterName, now())
  await backend.create(itemKey, Buffer.from(JSON.stringify(made)))
  const stored = await backend.get(itemKey)
  if (!stored) throw problem('store_failed', 'the keys of the authorities were not stored')
  return decode(stored.value)
}

async function makeAuthorities(clusterName: string, created: number): Promise<Stored> {
  const signing = (): StoredKey => ({privateKey: toPem(generateKeyPairSync('ed25519').privateKey), created})
  const x509 = async (use: string): Promise<StoredKey> => ({
    ...(await createX509Authority({
      commonName: `${clusterName} ${use} CA`,
      organization: clusterName,
      now: created,
    })),
    created,
  })
  return {
    version: 1,
    keys: {
      ...{user: [signing()], host: [signing()], openssh: [signing()], recording: [signing()]},
      ...{'tls-host': [await x509('host')], 'tls-user': [await x509('user')]},
    },
  }
}

const toPem = (key: KeyObject): string => key.export({type: 'pkcs8', format: 'pem'}).toString()

function decode(bytes: Buffer): AuthorityKeys {
  try {
    const {keys} = storedSchema.parse(JSON.parse(bytes.toString('utf8')))
    return Object.fromEntries(
      authorityTypes.map(type => [type, keys[type].map(stored => toAuthorityKey(type, stored))]),
    ) as unknown as AuthorityKeys
  } catch (cause) {
    // The parser's own words could hold parts of a key.
    throw problem('store_failed', 'the stored keys of the authorities cannot be read', {
      hint: 'restore the data directory from a backup',
      cause: cause instanceof z.ZodError ? cause.issues.map(({path}) => path.join('.')) : undefined,
    })
  }
}

function toAuthorityKey(
  type: AuthorityType,
  {privateKey: pem, created, certificate}: StoredKey,
): AuthorityKey {
  const privateKey = createPrivateKey(pem)
  const key = {privateKey, publicBlob: publicKeyBlob(privateKey), created}
  if (type !== 'tls-host' && type !== 'tls-user') return key
  if (certificate === undefined || !new X509Certificate(certificate).checkPrivateKey(privateKey))
    throw new Error(`the certificate of the ${type} authority does not fit its key`)
  return {...key, certificate}
}
