import {describe, expect, test, vi} from 'vitest'
import {problem} from '../../../src/lib/errors/index.js'
import type {AcceptOptions} from '../../../src/lib/ssh/index.js'
import {message} from '../../../src/lib/ssh/messages.js'
import {
  publicKeyBlob,
  type Signer,
  signData,
  signerFromKey,
  WireReader,
  WireWriter,
} from '../../../src/lib/sshcert/index.js'
import {
  acceptOn,
  certify,
  judgeUser,
  type KeyType,
  newKey,
  pair,
  settle,
  streamPair,
  userCredential,
} from './fixture.js'
import {type RawPeer, rawClient, serviceRequest, userauth} from './raw-peer.js'

const key = newKey()
const certificate = await certify(key, 'user')

/** A raw client that may send authentication requests, before a server of ours. */
async function atTheDoor(options: Partial<AcceptOptions> = {}) {
  const [a, b] = streamPair()
  const judge = vi.fn(options.judge ?? judgeUser)
  const onRefused = vi.fn(options.onRefused)
  const accepting = acceptOn(b, {...options, judge, onRefused})
  accepting.catch(() => undefined)
  const peer = await rawClient(a)
  peer.send(serviceRequest())
  await peer.nextOf(message.serviceAccept)
  return {peer, accepting, judge, onRefused}
}

const signWith =
  (peer: RawPeer, signer: Pick<Signer, 'sign'> = signerFromKey(key), sessionId?: Buffer) =>
  (request: Buffer): Promise<Buffer> =>
    signer.sign(
      new WireWriter()
        .string(sessionId ?? peer.transport.sessionId())
        .raw(request)
        .finish(),
    )

const failure = new WireWriter().u8(message.userauthFailure).string('publickey').bool(false).finish()

const bannerText = (payload: Buffer): string => new WireReader(payload.subarray(1)).text()

describe('a user with a certificate', () => {
  const types: KeyType[] = ['ed25519', 'ecdsa', 'rsa']
  test.each(types)('over an %s key is let in under that certificate', async type => {
    const credential = await userCredential(type)
    const {user, client} = await pair({client: {credentials: async () => [credential]}})
    expect(user.username).toBe('root')
    expect(user.certificate.blob).toEqual(credential.blob)
    client.disconnect()
  })

  test('is asked about once more when it signs, whatever a query was answered', async () => {
    let verdicts = 0
    const {peer, judge} = await atTheDoor({
      judge: () => {
        if (++verdicts > 1) throw problem('access_denied', 'locked in the meantime')
      },
    })
    peer.send(await userauth({blob: certificate}))
    expect((await peer.next())[0]).toBe(message.userauthPkOk)
    peer.send(await userauth({blob: certificate, sign: signWith(peer)}))
    expect(bannerText(await peer.next())).toBe('sallyport: locked in the meantime [access_denied]\r\n')
    expect(await peer.next()).toEqual(failure)
    expect(judge).toHaveBeenCalledTimes(2)
  })

  test('answers a query with the algorithm and the blob', async () => {
    const {peer} = await atTheDoor()
    peer.send(await userauth({blob: certificate}))
    const reader = new WireReader(await peer.next())
    expect([reader.u8(), reader.text()]).toEqual([message.userauthPkOk, 'ssh-ed25519-cert-v01@openssh.com'])
    expect(reader.string()).toEqual(certificate)
  })

  test('may look at the door with "none" first, as OpenSSH does', async () => {
    const {peer, accepting, onRefused} = await atTheDoor()
    peer.send(await userauth({method: 'none'}))
    expect(await peer.next()).toEqual(failure)
    peer.send(await userauth({blob: certificate, sign: signWith(peer)}))
    expect(await peer.next()).toEqual(Buffer.of(message.userauthSuccess))
    expect((await accepting).user.username).toBe('root')
    expect(onRefused).not.toHaveBeenCalled()
  })

  test('may send requests ahead of the answers: each gets its own, in order', async () => {
    const {peer, accepting} = await atTheDoor()
    peer.send(await userauth({method: 'none'}))
    peer.send(await userauth({blob: certificate}))
    peer.send(await userauth({blob: certificate, sign: signWith(peer)}))
    expect(await peer.next()).toEqual(failure)
    expect((await peer.next())[0]).toBe(message.userauthPkOk)
    expect(await peer.next()).toEqual(Buffer.of(message.userauthSuccess))
    await accepting
  })

  test('and authentication requests that come after success are ignored', async () => {
    const {peer, accepting} = await atTheDoor()
    peer.send(await userauth({blob: certificate, sign: signWith(peer)}))
    await peer.nextOf(message.userauthSuccess)
    peer.send(await userauth({blob: certificate, sign: signWith(peer)}))
    await settle()
    expect(peer.isClosed()).toBe(false)
    const {connection} = await accepting
    connection.disconnect()
    expect(await peer.closed).toBeUndefined()
  })
})

describe('a certificate is refused', () => {
  interface Attempt {
    what: string
    fields: (peer: RawPeer) => Promise<Parameters<typeof userauth>[0]>
    says: RegExp
    /** Whether the judge has a word in it; what is malformed never reaches it. */
    judged?: boolean
  }
  const other = newKey()
  const rsa = newKey('rsa')
  const attempts: Attempt[] = [
    {
      what: 'with the signature of another key',
      fields: async peer => ({blob: certificate, sign: signWith(peer, signerFromKey(other))}),
      says: /the signature by its key is wrong/,
      judged: true,
    },
    {
      what: 'with a signature from another session',
      fields: async peer => ({
        blob: certificate,
        sign: signWith(peer, signerFromKey(key), Buffer.alloc(32, 1)),
      }),
      says: /the signature by its key is wrong/,
      judged: true,
    },
    {
      what: 'with a signature made for another user',
      fields: async peer => ({
        blob: certificate,
        sign: async () => signWith(peer)(await signedPart({username: 'joe', blob: certificate})),
      }),
      says: /the signature by its key is wrong/,
      judged: true,
    },
    {
      what: 'with a signature made for another service',
      fields: async peer => ({
        blob: certificate,
        sign: async () => signWith(peer)(await signedPart({service: 'ssh-userauth', blob: certificate})),
      }),
      says: /the signature by its key is wrong/,
      judged: true,
    },
    {
      what: 'under an algorithm that is not its own',
      fields: async peer => ({
        blob: certificate,
        algorithm: 'ecdsa-sha2-nistp256-cert-v01@openssh.com',
        sign: signWith(peer),
      }),
      says: /its type is not the one announced/,
    },
    {
      what: 'with a signature of another hash than announced',
      fields: async peer => ({
        blob: await certify(rsa, 'user'),
        algorithm: 'rsa-sha2-512-cert-v01@openssh.com',
        sign: request =>
          signData(
            rsa,
            new WireWriter().string(peer.transport.sessionId()).raw(request).finish(),
            'rsa-sha2-256',
          ),
      }),
      says: /the signature by its key is wrong/,
      judged: true,
    },
    {
      what: 'with trailing bytes',
      fields: async peer => ({blob: Buffer.concat([certificate, Buffer.of(0)]), sign: signWith(peer)}),
      says: /\[(protocol_error|certificate_rejected)\]/,
    },
    {
      what: 'cut short',
      fields: async peer => ({blob: certificate.subarray(0, -1), sign: signWith(peer)}),
      says: /\[(protocol_error|certificate_rejected)\]/,
    },
    {
      what: 'that is a plain key by the name of a certificate',
      fields: async peer => ({blob: publicKeyBlob(key), sign: signWith(peer)}),
      says: /\[certificate_rejected\]/,
    },
    {
      what: 'that is empty',
      fields: async peer => ({blob: Buffer.alloc(0), sign: signWith(peer)}),
      says: /\[(protocol_error|certificate_rejected)\]/,
    },
    {
      what: 'for a host',
      fields: async peer => ({blob: await certify(key, 'host'), sign: signWith(peer)}),
      says: /\[certificate_rejected\]/,
      judged: true,
    },
    {
      what: 'for another login',
      fields: async peer => ({blob: await certify(key, 'user', {principals: ['joe']}), sign: signWith(peer)}),
      says: /"root" is not among its principals \(joe\)/,
      judged: true,
    },
    {
      what: 'that has expired',
      fields: async peer => ({
        blob: await certify(key, 'user', {validAfter: 1n, validBefore: 2n}),
        sign: signWith(peer),
      }),
      says: /\[certificate_expired\]/,
      judged: true,
    },
  ]
  test.each(attempts)('$what', async ({fields, says, judged}) => {
    const {peer, judge, onRefused} = await atTheDoor()
    peer.send(await userauth(await fields(peer)))
    expect(bannerText(await peer.next())).toMatch(says)
    expect(await peer.next()).toEqual(failure)
    expect(judge).toHaveBeenCalledTimes(judged ? 1 : 0)
    expect(onRefused).toHaveBeenCalledTimes(1)
    expect(onRefused.mock.calls[0]?.[0]).toBe('root')
  })

  /** A request as it is when signed. */
  async function signedPart(fields: Parameters<typeof userauth>[0]): Promise<Buffer> {
    let part: Buffer = Buffer.alloc(0)
    await userauth({
      ...fields,
      sign: request => {
        part = request
        return request
      },
    })
    return part
  }

  test('with any one bit of the signed request flipped', async () => {
    const {peer, accepting} = await atTheDoor()
    const good = await userauth({blob: certificate, sign: signWith(peer)})
    for (const offset of [good.length - 1, good.length - 40, good.length - 70]) {
      const bad = Buffer.from(good)
      bad.writeUInt8(bad.readUInt8(offset) ^ 1, offset)
      peer.send(bad)
      expect(await peer.nextOf(message.userauthFailure)).toEqual(failure)
    }
    peer.send(good)
    await peer.nextOf(message.userauthSuccess)
    await accepting
  })

  test('by a judge that breaks: nobody out there learns how', async () => {
    const {peer, onRefused} = await atTheDoor({
      judge: () => {
        throw new Error('SQLITE_CANTOPEN: /var/lib/secret.db')
      },
    })
    peer.send(await userauth({blob: certificate, sign: signWith(peer)}))
    expect(bannerText(await peer.next())).toBe(
      'sallyport: the certificate could not be checked [internal]\r\n',
    )
    expect(await peer.next()).toEqual(failure)
    const cause = onRefused.mock.calls[0]?.[1].cause
    expect(cause).toMatchObject({message: expect.stringContaining('secret.db')})
  })

  test('and why is said once, however many certificates follow', async () => {
    const {peer} = await atTheDoor()
    const foreign = await certify(key, 'user', {principals: ['joe']})
    for (let attempt = 0; attempt < 4; attempt++) peer.send(await userauth({blob: foreign}))
    for (let attempt = 0; attempt < 4; attempt++) await peer.nextOf(message.userauthFailure)
    expect(peer.log.filter(payload => payload[0] === message.userauthBanner)).toHaveLength(1)
  })
})

describe('what else a user may try', () => {
  test.each(['ssh-ed25519', 'rsa-sha2-512', 'ssh-rsa-cert-v01@openssh.com', 'nonsense'])(
    'a key under %s is refused without a word and without the judge',
    async algorithm => {
      const {peer, judge, onRefused} = await atTheDoor()
      peer.send(await userauth({algorithm, blob: publicKeyBlob(key), sign: signWith(peer)}))
      expect(await peer.next()).toEqual(failure)
      expect(judge).not.toHaveBeenCalled()
      expect(onRefused).not.toHaveBeenCalled()
    },
  )

  test.each(['password', 'keyboard-interactive', 'hostbased'])('%s is refused', async method => {
    const {peer} = await atTheDoor()
    peer.send(await userauth({method}))
    expect(await peer.next()).toEqual(failure)
  })

  test.each([
    ['signed attempts', true],
    ['refused certificates', false],
  ])('ten %s end the connection', async (_what, signed) => {
    const {peer, accepting} = await atTheDoor()
    const foreign = await certify(key, 'user', {principals: ['joe']})
    const attempt = signed
      ? await userauth({algorithm: 'ssh-ed25519', blob: publicKeyBlob(key), sign: signWith(peer)})
      : await userauth({blob: foreign})
    for (let count = 1; count < 10; count++) {
      peer.send(attempt)
      expect(await peer.nextOf(message.userauthFailure)).toEqual(failure)
    }
    expect(peer.isClosed()).toBe(false)
    peer.send(attempt)
    expect(await peer.closed).toMatchObject({message: expect.stringContaining('the peer ended')})
    await expect(accepting).rejects.toMatchObject({code: 'protocol_error'})
  })

  test('an agent full of other keys gets to the right one, but not for ever', async () => {
    const {peer, accepting} = await atTheDoor()
    const offer = await userauth({algorithm: 'ssh-ed25519', blob: publicKeyBlob(newKey())})
    for (let count = 0; count < 50; count++) {
      peer.send(offer)
      expect(await peer.next()).toEqual(failure)
    }
    peer.send(await userauth({blob: certificate, sign: signWith(peer)}))
    await peer.nextOf(message.userauthSuccess)
    await accepting
    const other = await atTheDoor()
    for (let count = 0; count < 64; count++) {
      other.peer.send(offer)
      await other.peer.next()
    }
    other.peer.send(offer)
    await expect(other.accepting).rejects.toMatchObject({code: 'limit_exceeded'})
  })

  test('queries that succeed are bounded as well', async () => {
    const {peer, accepting, judge} = await atTheDoor()
    const query = await userauth({blob: certificate})
    for (let attempt = 0; attempt < 64; attempt++) {
      peer.send(query)
      expect((await peer.next())[0]).toBe(message.userauthPkOk)
    }
    peer.send(query)
    await expect(accepting).rejects.toMatchObject({code: 'limit_exceeded'})
    expect(judge).toHaveBeenCalledTimes(64)
  })

  test('a flood ahead of the answers ends the connection', async () => {
    const {peer, accepting, judge} = await atTheDoor({judge: () => new Promise(() => undefined)})
    const query = await userauth({blob: certificate})
    for (let attempt = 0; attempt < 20; attempt++) peer.send(query)
    await expect(accepting).rejects.toMatchObject({code: 'limit_exceeded'})
    expect(judge).toHaveBeenCalledTimes(1)
  })

  const misplaced: [string, () => Promise<Buffer> | Buffer][] = [
    ['another user name than before', () => userauth({username: 'joe', blob: certificate})],
    ['an unknown service', () => userauth({service: 'ssh-other', blob: certificate})],
    ['a user name of 256 bytes', () => userauth({username: 'x'.repeat(256), blob: certificate})],
    ['a channel', () => Buffer.concat([Buffer.of(message.channelOpen), Buffer.alloc(30)])],
    ['a global request', () => Buffer.concat([Buffer.of(message.globalRequest), Buffer.alloc(30)])],
    ['success', () => Buffer.of(message.userauthSuccess)],
    ['the service again', () => serviceRequest()],
    ['a request cut short', async () => (await userauth({blob: certificate})).subarray(0, 40)],
    [
      'a request with bytes behind it',
      async () => Buffer.concat([await userauth({blob: certificate}), Buffer.of(0)]),
    ],
    ['a user name that is not UTF-8', () => Buffer.from([50, 0, 0, 0, 2, 0xff, 0xfe, 0, 0, 0, 0])],
  ]
  test.each(misplaced)('%s ends the connection', async (_what, payload) => {
    const {peer, accepting} = await atTheDoor()
    peer.send(await userauth({method: 'none'}))
    await peer.next()
    peer.send(await payload())
    await expect(accepting).rejects.toMatchObject({code: 'protocol_error'})
    await peer.closed
  })

  test('a request before the service is granted, or another service, ends the connection', async () => {
    for (const payload of [await userauth({blob: certificate}), serviceRequest('ssh-connection')]) {
      const [a, b] = streamPair()
      const accepting = acceptOn(b)
      accepting.catch(() => undefined)
      const peer = await rawClient(a)
      peer.send(payload)
      await expect(accepting).rejects.toMatchObject({code: 'protocol_error'})
    }
  })

  test('who does not log in within the grace time is put out', async () => {
    const {peer, accepting} = await atTheDoor({graceMilliseconds: 60})
    await expect(accepting).rejects.toMatchObject({code: 'timeout'})
    expect(await peer.closed).toMatchObject({code: 'timeout', message: 'the client did not log in in time'})
  })

  test('who leaves while being judged is not let in', async () => {
    let decide: () => void = () => undefined
    const {peer, accepting} = await atTheDoor({
      judge: () =>
        new Promise<void>(resolve => {
          decide = resolve
        }),
    })
    peer.send(await userauth({blob: certificate, sign: signWith(peer)}))
    await settle()
    peer.transport.disconnect()
    await expect(accepting).rejects.toMatchObject({message: 'the client left before it was logged in'})
    decide()
    await settle()
  })
})
