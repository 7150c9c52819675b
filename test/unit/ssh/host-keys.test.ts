import {generateKeyPairSync} from 'node:crypto'
import {describe, expect, test} from 'vitest'
import {serverHostKeys} from '../../../src/lib/ssh/host-keys.js'
import type {HostIdentity, PresentedHostKey} from '../../../src/lib/ssh/index.js'
import {message} from '../../../src/lib/ssh/messages.js'
import {publicKeyBlob, signerFromKey, WireWriter} from '../../../src/lib/sshcert/index.js'
import {
  acceptOn,
  anyHostKey,
  certify,
  connectOn,
  hostIdentity,
  type KeyType,
  newKey,
  openChannel,
  pair,
  settle,
  streamPair,
  userCredential,
  verifyHost,
} from './fixture.js'
import {type Insides, insidesOf, rawPeer} from './raw-peer.js'

const later = (milliseconds: number): Promise<void> =>
  new Promise(resolve => setTimeout(resolve, milliseconds))

/** Connects to a server with this host key; the server's end of it is ignored. */
async function connectTo(
  identity: HostIdentity,
  options: Parameters<typeof connectOn>[1] = {},
): Promise<unknown> {
  const [a, b] = streamPair()
  acceptOn(b, {hostKeys: [identity]}).catch(() => undefined)
  const connection = await connectOn(a, options)
  connection.disconnect()
  return connection.closed
}

describe('host keys', () => {
  const types: KeyType[] = ['ed25519', 'ecdsa', 'rsa']
  test.each(types)('a certificate over an %s key is presented and verified', async type => {
    const identity = await hostIdentity(type)
    let presented: PresentedHostKey | undefined
    const ends = await pair({
      server: {hostKeys: [identity]},
      client: {
        verifyHostKey: async key => {
          presented = key
          await verifyHost(key)
        },
      },
    })
    expect(presented?.blob).toEqual(identity.publicBlob)
    expect(presented?.certificate?.principals).toEqual(['target.test'])
    ends.client.disconnect()
  })

  test.each(['ecdsa-sha2-nistp384', 'ecdsa-sha2-nistp521'])(
    'a certificate over an %s key, too',
    async name => {
      const namedCurve = name.endsWith('384') ? 'P-384' : 'P-521'
      const key = generateKeyPairSync('ec', {namedCurve}).privateKey
      const identity = {privateKey: key, publicBlob: await certify(key, 'host')}
      await expect(connectTo(identity)).resolves.toBeUndefined()
    },
  )

  test.each(['rsa-sha2-256-cert-v01@openssh.com', 'rsa-sha2-512-cert-v01@openssh.com'])(
    'an RSA certificate under %s',
    async algorithm => {
      await expect(
        connectTo(await hostIdentity('rsa'), {hostKeyAlgorithms: [algorithm]}),
      ).resolves.toBeUndefined()
    },
  )

  test('a verdict may take its time', async () => {
    const verifyHostKey = async (key: PresentedHostKey): Promise<void> => {
      await later(300)
      await verifyHost(key)
    }
    await expect(connectTo(await hostIdentity(), {verifyHostKey})).resolves.toBeUndefined()
  })

  test('a refusal after some time is what the connection ends with', async () => {
    const key = newKey()
    const identity = {privateKey: key, publicBlob: await certify(key, 'host', {principals: ['other.test']})}
    const verifyHostKey = async (presented: PresentedHostKey): Promise<void> => {
      await later(30)
      await verifyHost(presented)
    }
    await expect(connectTo(identity, {verifyHostKey})).rejects.toMatchObject({
      code: 'certificate_rejected',
      message: expect.stringContaining('"target.test" is not among its principals'),
    })
  })

  test('a verdict after the connection has ended changes nothing', async () => {
    for (const accepts of [true, false]) {
      let decide: (() => void) | undefined
      const verifyHostKey = (): Promise<void> =>
        new Promise((resolve, reject) => {
          decide = accepts ? resolve : () => reject(new Error('no'))
        })
      await expect(
        connectTo(await hostIdentity(), {verifyHostKey, timeoutMilliseconds: 50}),
      ).rejects.toMatchObject({code: 'timeout'})
      decide?.()
      await settle()
    }
  })

  test('another authority and an expired certificate are refused', async () => {
    const key = newKey()
    const stranger = signerFromKey(newKey())
    const strange = {privateKey: key, publicBlob: await certify(key, 'host', {}, stranger)}
    await expect(connectTo(strange)).rejects.toMatchObject({code: 'certificate_rejected'})
    const publicBlob = await certify(key, 'host', {validAfter: 1n, validBefore: 2n})
    await expect(connectTo({privateKey: key, publicBlob})).rejects.toMatchObject({
      code: 'certificate_expired',
    })
  })

  test('a verifier that throws at once refuses as well', async () => {
    const verifyHostKey = (): Promise<void> => {
      throw new Error('thrown, not rejected')
    }
    await expect(connectTo(await hostIdentity(), {verifyHostKey})).rejects.toMatchObject({
      code: 'host_key_refused',
      message: 'thrown, not rejected',
    })
  })

  test('a plain key is refused by name where certificates are asked for, and judged where it is allowed', async () => {
    const key = newKey()
    const plain = {privateKey: key, publicBlob: publicKeyBlob(key)}
    await expect(connectTo(plain)).rejects.toMatchObject({
      code: 'host_key_refused',
      message: 'remote host presented a public key, expected a host certificate',
    })
    const seen: PresentedHostKey[] = []
    const verifyHostKey = async (presented: PresentedHostKey): Promise<void> => void seen.push(presented)
    await expect(connectTo(plain, {hostKeyAlgorithms: anyHostKey, verifyHostKey})).resolves.toBeUndefined()
    expect(seen).toEqual([{blob: plain.publicBlob}])
  })

  test.each(types)('whoever stole a certificate over an %s key but not the key is found out', async type => {
    const identity = {privateKey: newKey(type), publicBlob: (await hostIdentity(type)).publicBlob}
    let asked = false
    const credentials = async (): Promise<never> => {
      asked = true
      throw new Error('unreachable')
    }
    await expect(connectTo(identity, {credentials})).rejects.toMatchObject({code: 'protocol_error'})
    expect(asked).toBe(false)
  })
})

describe('before the verdict on a host key', () => {
  /** A server that does not wait for our NEWKEYS, but talks on as soon as it has keys of its own. */
  async function eagerServer(talk: (insides: Insides, send: (payload: Buffer) => void) => void): Promise<{
    asked: () => boolean
    sent: () => Buffer
    refuse: () => void
    connecting: Promise<unknown>
  }> {
    const [a, b] = streamPair()
    const identity = await hostIdentity()
    const {made: server, insides} = insidesOf(() => rawPeer(b, {kind: 'server', hostKeys: [identity]}))
    server.ready.catch(() => undefined)
    let refuse: () => void = () => undefined
    let asked = false
    const connecting = connectOn(a, {
      verifyHostKey: () =>
        new Promise((_resolve, reject) => {
          refuse = () => reject(new Error('refused'))
        }),
      credentials: async () => {
        asked = true
        return [await userCredential()]
      },
    })
    connecting.catch(() => undefined)
    await settle()
    const sent: Buffer[] = []
    b.on('data', chunk => sent.push(chunk))
    // As if the client had sent its NEWKEYS.
    insides._kex?.parse(Buffer.of(21))
    talk(insides, payload => server.send(payload))
    await settle()
    return {asked: () => asked, sent: () => Buffer.concat(sent), refuse: () => refuse(), connecting}
  }

  test('no credential is asked for and nothing is sent, whatever the server says', async () => {
    const server = await eagerServer((_insides, send) => {
      send(new WireWriter().u8(message.serviceAccept).string('ssh-userauth').finish())
      send(Buffer.of(message.userauthSuccess))
    })
    expect([server.asked(), server.sent().length]).toEqual([false, 0])
    server.refuse()
    await expect(server.connecting).rejects.toMatchObject({code: 'host_key_refused'})
    expect(server.asked()).toBe(false)
  })

  test('a second key exchange does not pass for verified', async () => {
    const server = await eagerServer(insides => insides.rekey())
    expect(server.sent().length).toBe(0)
    server.refuse()
    await expect(server.connecting).rejects.toMatchObject({code: 'host_key_refused'})
  })
})

describe('a host key at a rekey', () => {
  test('stays the same without asking again', async () => {
    let asked = 0
    const ends = await pair({
      client: {
        verifyHostKey: async key => {
          asked++
          await verifyHost(key)
        },
      },
    })
    const [local, remote] = await openChannel(ends)
    remote.resume()
    local.end(Buffer.alloc(100_000))
    await new Promise(resolve => remote.once('end', resolve))
    expect(asked).toBe(1)
    ends.client.disconnect()
  })

  test('that has changed ends the connection', async () => {
    const [a, b] = streamPair()
    const [first, second] = [await hostIdentity(), await hostIdentity()]
    const {made: server, insides} = insidesOf(() => rawPeer(b, {kind: 'server', hostKeys: [first]}))
    const client = rawPeer(a, {
      kind: 'client',
      hostKeyAlgorithms: anyHostKey,
      verifyHostKey: async () => undefined,
    })
    await Promise.all([client.ready, server.ready])
    insides._hostKeys = serverHostKeys([second], () => insides._kex)
    insides.rekey()
    expect(await client.closed).toMatchObject({
      code: 'host_key_refused',
      message: 'the host changed its key during the session',
    })
  })
})
