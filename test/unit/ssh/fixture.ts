import {generateKeyPairSync, type KeyObject} from 'node:crypto'
import {once} from 'node:events'
import {connect as connectTcp, createServer} from 'node:net'
import {type Duplex, duplexPair, type Readable} from 'node:stream'
import {
  type AcceptedConnection,
  type AcceptOptions,
  acceptConnection,
  type Channel,
  type ConnectOptions,
  type Credential,
  connect,
  type HostIdentity,
  type SshConnection,
} from '../../../src/lib/ssh/index.js'
import {
  type CertificateFields,
  checkCertificate,
  hostCertificateAlgorithms,
  issueCertificate,
  plainHostKeyAlgorithms,
  publicKeyBlob,
  type Signer,
  signerFromKey,
} from '../../../src/lib/sshcert/index.js'

export type KeyType = 'ed25519' | 'ecdsa' | 'rsa'

export function newKey(type: KeyType = 'ed25519'): KeyObject {
  if (type === 'ecdsa') return generateKeyPairSync('ec', {namedCurve: 'P-256'}).privateKey
  if (type === 'rsa') return generateKeyPairSync('rsa', {modulusLength: 2048}).privateKey
  return generateKeyPairSync('ed25519').privateKey
}

export const userAuthority: Signer = signerFromKey(newKey())
export const hostAuthority: Signer = signerFromKey(newKey())

const aMinuteAgo = BigInt(Math.floor(Date.now() / 1000) - 60)

/** A certificate over `key`, by default for the user `root`, or for the host `target.test`. */
export function certify(
  key: KeyObject,
  kind: 'user' | 'host',
  fields: Partial<CertificateFields> = {},
  authority: Signer = kind === 'user' ? userAuthority : hostAuthority,
): Promise<Buffer> {
  return issueCertificate(
    {
      publicKey: publicKeyBlob(key),
      kind,
      serial: 7n,
      keyId: kind === 'user' ? 'joe' : 'target',
      principals: kind === 'user' ? ['root'] : ['target.test'],
      validAfter: aMinuteAgo,
      validBefore: aMinuteAgo + 3600n,
      ...fields,
    },
    authority,
  )
}

export async function hostIdentity(type: KeyType = 'ed25519', key = newKey(type)): Promise<HostIdentity> {
  return {privateKey: key, publicBlob: await certify(key, 'host')}
}

export async function userCredential(type: KeyType = 'ed25519', key = newKey(type)): Promise<Credential> {
  return {blob: await certify(key, 'user'), signer: signerFromKey(key)}
}

/** Accepts users by the authority of this file. */
export const judgeUser: AcceptOptions['judge'] = (username, certificate) =>
  checkCertificate(certificate, {
    kind: 'user',
    authorities: [userAuthority.publicBlob],
    principal: username,
    now: Date.now(),
  })

/** Accepts the host `target.test` by the authority of this file. */
export const verifyHost: ConnectOptions['verifyHostKey'] = async ({certificate}) => {
  if (!certificate) throw new Error('a plain key was presented')
  checkCertificate(certificate, {
    kind: 'host',
    authorities: [hostAuthority.publicBlob],
    principal: 'target.test',
    now: Date.now(),
  })
}

export const anyHostKey = [...hostCertificateAlgorithms, ...plainHostKeyAlgorithms]

const defaultIdentity = await hostIdentity()
const defaultCredential = await userCredential()

export const acceptOn = (stream: Duplex, options: Partial<AcceptOptions> = {}): Promise<AcceptedConnection> =>
  acceptConnection({
    stream,
    hostKeys: [defaultIdentity],
    judge: judgeUser,
    graceMilliseconds: 5000,
    ...options,
  })

export const connectOn = (stream: Duplex, options: Partial<ConnectOptions> = {}): Promise<SshConnection> =>
  connect({
    stream,
    username: 'root',
    credentials: async () => [defaultCredential],
    verifyHostKey: verifyHost,
    timeoutMilliseconds: 5000,
    ...options,
  })

/** Two ends of one stream in memory; one that is destroyed takes the other with it. */
export function streamPair(): [Duplex, Duplex] {
  const [a, b] = duplexPair()
  a.once('close', () => b.destroy())
  b.once('close', () => a.destroy())
  return [a, b]
}

/** Two ends of one real TCP connection on loopback. */
export async function tcpPair(): Promise<[Duplex, Duplex]> {
  const listener = createServer().listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const address = listener.address()
  if (address === null || typeof address === 'string') throw new Error('no TCP port')
  const accepted = once(listener, 'connection')
  const a = connectTcp(address.port, '127.0.0.1')
  await once(a, 'connect')
  const [b] = (await accepted) as [Duplex]
  listener.close()
  return [a, b]
}

export interface Pair {
  client: SshConnection
  server: SshConnection
  user: AcceptedConnection['user']
  streams: [Duplex, Duplex]
}

export interface PairOptions {
  client?: Partial<ConnectOptions>
  server?: Partial<AcceptOptions>
  streams?: [Duplex, Duplex]
}

/** Our client logged in to our server. */
export async function pair(options: PairOptions = {}): Promise<Pair> {
  const streams = options.streams ?? streamPair()
  const accepting = acceptOn(streams[1], options.server)
  const connecting = connectOn(streams[0], options.client)
  const [{connection: server, user}, client] = await Promise.all([accepting, connecting])
  return {client, server, user, streams}
}

/** A channel of `client` and its other end. */
export async function openChannel(
  {client, server}: Pick<Pair, 'client' | 'server'>,
  type = 'session',
): Promise<[Channel, Channel]> {
  const accepted = new Promise<Channel>(resolve => {
    server.onChannelOpen = open => resolve(open.accept())
  })
  return [await client.openChannel(type), await accepted]
}

/** Everything a stream yields until its end. */
export async function drain(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

/** Lets everything run that is already on its way, in memory and on loopback. */
export async function settle(turns = 20): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await new Promise(resolve => setImmediate(resolve))
}
