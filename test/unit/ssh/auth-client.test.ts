import {describe, expect, test, vi} from 'vitest'
import {problem} from '../../../src/lib/errors/index.js'
import type {ConnectOptions, Credential} from '../../../src/lib/ssh/index.js'
import {message} from '../../../src/lib/ssh/messages.js'
import {
  certificateAlgorithms,
  publicKeyBlob,
  signData,
  verifySignature,
  WireReader,
  WireWriter,
} from '../../../src/lib/sshcert/index.js'
import {
  acceptOn,
  certify,
  connectOn,
  hostIdentity,
  newKey,
  pair,
  settle,
  streamPair,
  userCredential,
} from './fixture.js'
import {type RawPeer, rawPeer} from './raw-peer.js'

const identity = await hostIdentity()

/** A client of ours before a server that a test plays; the service is not granted yet. */
function facing(options: Partial<ConnectOptions> = {}): {peer: RawPeer; connecting: Promise<unknown>} {
  const [a, b] = streamPair()
  const peer = rawPeer(b, {kind: 'server', hostKeys: [identity]})
  const connecting = connectOn(a, options)
  connecting.catch(() => undefined)
  return {peer, connecting}
}

/** A client of ours before a server of ours. */
function facingOurs(options: Partial<ConnectOptions>): Promise<unknown> {
  const [a, b] = streamPair()
  acceptOn(b).catch(() => undefined)
  return connectOn(a, options)
}

const serviceAccept = new WireWriter().u8(message.serviceAccept).string('ssh-userauth').finish()
const success = Buffer.of(message.userauthSuccess)
const failure = (methods = 'publickey'): Buffer =>
  new WireWriter().u8(message.userauthFailure).string(methods).bool(false).finish()
const banner = (text: string): Buffer =>
  new WireWriter().u8(message.userauthBanner).string(text).string('').finish()

interface SentRequest {
  username: string
  algorithm: string
  blob: Buffer
  signature: Buffer
  signed: Buffer
}

function readRequest(payload: Buffer): SentRequest {
  const reader = new WireReader(payload)
  reader.u8()
  const username = reader.text()
  expect([reader.text(), reader.text(), reader.bool()]).toEqual(['ssh-connection', 'publickey', true])
  const [algorithm, blob] = [reader.text(), reader.string()]
  const signed = payload.subarray(0, reader.offset)
  const signature = reader.string()
  reader.end()
  return {username, algorithm, blob, signature, signed}
}

describe('a client logs in', () => {
  test.each(['ed25519', 'ecdsa', 'rsa'] as const)('with a request signed by its %s key', async type => {
    const key = newKey(type)
    const credential = await userCredential(type, key)
    const {peer, connecting} = facing({credentials: async () => [credential]})
    await peer.nextOf(message.serviceRequest)
    peer.send(serviceAccept)
    const sent = readRequest(await peer.next())
    expect([sent.username, sent.blob]).toEqual(['root', credential.blob])
    const data = new WireWriter().string(peer.transport.sessionId()).raw(sent.signed).finish()
    const format = certificateAlgorithms[sent.algorithm]?.signature ?? ''
    expect(verifySignature(publicKeyBlob(key), data, sent.signature, [format])).toBe(true)
    peer.send(success)
    await connecting
  })

  test('with a plain key where that is what it has', async () => {
    const key = newKey('rsa')
    const {peer} = facing({
      credentials: async () => [
        {blob: publicKeyBlob(key), signer: {sign: async (data, format) => signData(key, data, format)}},
      ],
    })
    await peer.nextOf(message.serviceRequest)
    peer.send(serviceAccept)
    expect(readRequest(await peer.next()).algorithm).toBe('rsa-sha2-512')
  })

  test('with the first credential that is accepted, in order', async () => {
    const credentials = await Promise.all([userCredential(), userCredential('ecdsa'), userCredential()])
    const {peer, connecting} = facing({credentials: async () => credentials})
    await peer.nextOf(message.serviceRequest)
    peer.send(serviceAccept)
    expect(readRequest(await peer.next()).blob).toEqual(credentials[0]?.blob)
    peer.send(failure())
    expect(readRequest(await peer.next()).blob).toEqual(credentials[1]?.blob)
    peer.send(banner('welcome'))
    peer.send(success)
    await connecting
    expect(peer.log.filter(payload => payload[0] === message.userauthRequest)).toHaveLength(2)
  })

  test('with the next credential when an agent will not sign with one', async () => {
    const good = await userCredential()
    const refusing: Credential = {
      blob: good.blob,
      signer: {sign: async () => Promise.reject(problem('agent_required', 'the agent refused'))},
    }
    const {client} = await pair({client: {credentials: async () => [refusing, good]}})
    client.disconnect()
    await expect(facingOurs({credentials: async () => [refusing]})).rejects.toMatchObject({
      message: 'the agent refused',
    })
  })
})

describe('a client that is refused says why', () => {
  test('in the words of a server of ours', async () => {
    const key = newKey()
    const blob = await certify(key, 'user', {principals: ['joe']})
    const credential = {blob, signer: (await userCredential('ed25519', key)).signer}
    await expect(facingOurs({credentials: async () => [credential]})).rejects.toMatchObject({
      code: 'certificate_rejected',
      message: 'certificate rejected: "root" is not among its principals (joe)',
    })
  })

  test('without obeying what a hostile host puts into them', async () => {
    const {peer, connecting} = facing()
    await peer.nextOf(message.serviceRequest)
    peer.send(serviceAccept)
    await peer.next()
    peer.send(banner('sallyport: no \x1b]52;c;ZXZpbA==\x07log in\u202eat evil [bad_credentials]\n'))
    peer.send(failure())
    await expect(connecting).rejects.toMatchObject({
      code: 'bad_credentials',
      message: 'no  ]52;c;ZXZpbA== log in at evil',
    })
  })

  test('after six credentials at most, as sshd allows no more', async () => {
    const all = await Promise.all(Array.from({length: 9}, () => userCredential()))
    const {peer, connecting} = facing({credentials: async () => all})
    await peer.nextOf(message.serviceRequest)
    peer.send(serviceAccept)
    for (let attempt = 0; attempt < 6; attempt++) {
      await peer.nextOf(message.userauthRequest)
      peer.send(failure())
    }
    await expect(connecting).rejects.toMatchObject({
      code: 'target_refused',
      message: 'the host refused to log in "root": none of the certificates offered was accepted',
    })
  })

  test('without trying the rest where the host takes no keys at all', async () => {
    const {peer, connecting} = facing({
      credentials: async () => [await userCredential(), await userCredential()],
    })
    await peer.nextOf(message.serviceRequest)
    peer.send(serviceAccept)
    await peer.next()
    peer.send(failure('password,keyboard-interactive'))
    await expect(connecting).rejects.toMatchObject({code: 'target_refused'})
  })

  test('when it has nothing to offer, or cannot get at it', async () => {
    const none = facing({credentials: async () => []})
    await none.peer.nextOf(message.serviceRequest)
    none.peer.send(serviceAccept)
    await expect(none.connecting).rejects.toMatchObject({
      message: expect.stringContaining('there was no certificate to offer'),
    })
    const broken = facing({credentials: async () => Promise.reject(new Error('no agent'))})
    await broken.peer.nextOf(message.serviceRequest)
    broken.peer.send(serviceAccept)
    await expect(broken.connecting).rejects.toMatchObject({code: 'agent_required', message: 'no agent'})
  })
})

describe('a host that answers what it was not asked', () => {
  const early: [string, Buffer][] = [
    ['success before the service', success],
    ['failure before the service', failure()],
    ['a channel', Buffer.concat([Buffer.of(message.channelOpen), Buffer.alloc(30)])],
    ['a query granted', Buffer.concat([Buffer.of(message.userauthPkOk), Buffer.alloc(8)])],
    ['a service request', new WireWriter().u8(message.serviceRequest).string('ssh-userauth').finish()],
    ['an unknown message', Buffer.of(200)],
    ['an empty failure', Buffer.of(message.userauthFailure)],
  ]
  test.each(early)('%s ends the connection', async (_what, payload) => {
    const credentials = vi.fn(async () => [await userCredential()])
    const {peer, connecting} = facing({credentials})
    await peer.nextOf(message.serviceRequest)
    peer.send(payload)
    await expect(connecting).rejects.toMatchObject({code: 'protocol_error'})
    expect(credentials).not.toHaveBeenCalled()
  })

  test('success while the agent is still signing does not log in', async () => {
    let signing = false
    const {blob} = await userCredential()
    const {peer, connecting} = facing({
      credentials: async () => [
        {
          blob,
          signer: {
            sign: () => {
              signing = true
              return new Promise<Buffer>(() => undefined)
            },
          },
        },
      ],
    })
    await peer.nextOf(message.serviceRequest)
    peer.send(serviceAccept)
    await vi.waitFor(() => expect(signing).toBe(true))
    peer.send(success)
    await expect(connecting).rejects.toMatchObject({code: 'protocol_error'})
  })

  test('a service granted twice does not begin twice', async () => {
    const credentials = vi.fn(async () => [await userCredential()])
    const {peer, connecting} = facing({credentials})
    await peer.nextOf(message.serviceRequest)
    peer.send(serviceAccept)
    peer.send(serviceAccept)
    await expect(connecting).rejects.toMatchObject({code: 'protocol_error'})
    expect(credentials).toHaveBeenCalledTimes(1)
  })

  test('endless banners and silence end at the time limit, and nothing is signed after it', async () => {
    const sign = vi.fn(async () => Buffer.alloc(8))
    let give: (credentials: Credential[]) => void = () => undefined
    const {blob} = await userCredential()
    const {peer, connecting} = facing({
      timeoutMilliseconds: 150,
      credentials: () =>
        new Promise(resolve => {
          give = resolve
        }),
    })
    await peer.nextOf(message.serviceRequest)
    peer.send(serviceAccept)
    for (let index = 0; index < 200; index++) peer.send(banner('x'.repeat(10_000)))
    await expect(connecting).rejects.toMatchObject({code: 'timeout'})
    give([{blob, signer: {sign}}])
    await settle()
    expect(sign).not.toHaveBeenCalled()
  })
})
