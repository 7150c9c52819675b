import {describe, expect, test, vi} from 'vitest'
import {problem, SallyportError} from '../../../src/lib/errors/index.js'
import type {AcceptOptions, ConnectOptions, SecondFactor} from '../../../src/lib/ssh/index.js'
import {message} from '../../../src/lib/ssh/messages.js'
import {signerFromKey, WireReader, WireWriter} from '../../../src/lib/sshcert/index.js'
import {
  acceptOn,
  certify,
  connectOn,
  hostIdentity,
  judgeUser,
  newKey,
  streamPair,
  userCredential,
} from './fixture.js'
import {type RawPeer, rawClient, rawPeer, serviceRequest, userauth} from './raw-peer.js'

const key = newKey()
const certificate = await certify(key, 'user')
const right = '123456'

const wrongCode = () => problem('bad_credentials', 'that code is wrong')
const askFor = (
  check = vi.fn(async (answer: string) => {
    if (answer !== right) throw wrongCode()
  }),
) => ({notice: 'a code is needed', prompt: 'Code: ', check}) satisfies SecondFactor

const demanding =
  (factor: SecondFactor): AcceptOptions['judge'] =>
  async (username, given, demand) => {
    await judgeUser(username, given, demand)
    demand(factor)
  }

/** A raw client whose certificate is accepted, and who is asked for more. */
async function halfWay(factor: SecondFactor = askFor(), options: Partial<AcceptOptions> = {}) {
  const [a, b] = streamPair()
  const onRefused = vi.fn()
  const accepting = acceptOn(b, {judge: demanding(factor), onRefused, ...options})
  accepting.catch(() => undefined)
  const peer = await rawClient(a)
  peer.send(serviceRequest())
  await peer.nextOf(message.serviceAccept)
  peer.send(await userauth({blob: certificate, sign: signWith(peer)}))
  return {peer, accepting, onRefused}
}

const signWith = (peer: RawPeer) => (request: Buffer) =>
  signerFromKey(key).sign(new WireWriter().string(peer.transport.sessionId()).raw(request).finish())

const failure = (methods: string, partial = false): Buffer =>
  new WireWriter().u8(message.userauthFailure).string(methods).bool(partial).finish()
const interactive = (user = 'root'): Buffer =>
  new WireWriter()
    .u8(message.userauthRequest)
    .string(user)
    .string('ssh-connection')
    .string('keyboard-interactive')
    .string('')
    .string('')
    .finish()
const answers = (...texts: string[]): Buffer =>
  texts
    .reduce(
      (writer, text) => writer.string(text),
      new WireWriter().u8(message.userauthInfoResponse).u32(texts.length),
    )
    .finish()
const success = Buffer.of(message.userauthSuccess)

async function question(peer: RawPeer): Promise<{instruction: string; prompt: string; echo: boolean}> {
  const reader = new WireReader((await peer.nextOf(message.userauthInfoRequest)).subarray(1))
  const [, instruction] = [reader.text(), reader.text(), reader.text()]
  expect(reader.u32()).toBe(1)
  const [prompt, echo] = [reader.text(), reader.bool()]
  reader.end()
  return {instruction, prompt, echo}
}

describe('a server that wants a second factor', () => {
  test('says what is needed and that the certificate will do, asks, and lets in who answers right', async () => {
    const factor = askFor()
    const {peer, accepting} = await halfWay(factor)
    const banner = new WireReader((await peer.next()).subarray(1)).text()
    expect(banner).toBe('sallyport: a code is needed\r\n')
    expect(await peer.next()).toEqual(failure('keyboard-interactive', true))
    peer.send(interactive())
    expect(await question(peer)).toEqual({instruction: '', prompt: 'Code: ', echo: false})
    expect(factor.check).not.toHaveBeenCalled()
    peer.send(answers(right))
    expect(await peer.next()).toEqual(success)
    expect((await accepting).user.certificate.blob).toEqual(certificate)
    expect(factor.check.mock.calls).toEqual([[right]])
  })

  test('does not ask when the key is only shown', async () => {
    const [a, b] = streamPair()
    acceptOn(b, {judge: demanding(askFor())}).catch(() => undefined)
    const peer = await rawClient(a)
    peer.send(serviceRequest())
    await peer.nextOf(message.serviceAccept)
    peer.send(await userauth({blob: certificate}))
    expect((await peer.next())[0]).toBe(message.userauthPkOk)
    peer.send(interactive())
    expect(await peer.next()).toEqual(failure('publickey'))
  })

  test('asks again after a wrong answer, three times in all, and then hangs up', async () => {
    const {peer, accepting, onRefused} = await halfWay()
    await peer.nextOf(message.userauthFailure)
    for (const last of [false, false, true]) {
      peer.send(interactive())
      await question(peer)
      peer.send(answers('000000'))
      if (last) expect((await peer.next())[0]).toBe(message.userauthBanner)
      expect(await peer.next()).toEqual(failure('keyboard-interactive'))
    }
    expect((await peer.closed)?.message).toBeDefined()
    await expect(accepting).rejects.toBeInstanceOf(SallyportError)
    expect(onRefused.mock.calls).toEqual([['root', wrongCode()]])
  })

  test('says what was wrong above the next question', async () => {
    const {peer} = await halfWay()
    peer.send(interactive())
    await question(peer)
    peer.send(answers('000000'))
    await peer.nextOf(message.userauthFailure)
    peer.send(interactive())
    expect((await question(peer)).instruction).toBe('that code is wrong')
  })

  test('hangs up at once, with the reason, when nobody can say whether the answer is right', async () => {
    const away = problem('unavailable', 'the auth service is away')
    const {peer, accepting} = await halfWay(askFor(vi.fn(() => Promise.reject(away))))
    await peer.nextOf(message.userauthFailure)
    peer.send(interactive())
    await question(peer)
    peer.send(answers(right))
    const banner = new WireReader((await peer.nextOf(message.userauthBanner)).subarray(1)).text()
    expect(banner).toContain('the auth service is away')
    await peer.closed
    await expect(accepting).rejects.toBeInstanceOf(SallyportError)
  })

  test.each([
    ['another certificate', async (peer: RawPeer) => userauth({blob: certificate, sign: signWith(peer)})],
    ['nothing', async () => userauth({blob: certificate, method: 'none'})],
    ['a password', async () => userauth({blob: certificate, method: 'password'})],
  ])('lets nobody in for %s in place of an answer', async (_what, request) => {
    const {peer, accepting} = await halfWay()
    await peer.nextOf(message.userauthFailure)
    peer.send(await request(peer))
    expect(await peer.next()).toEqual(failure('keyboard-interactive'))
    const outcome = vi.fn()
    accepting.then(outcome, () => undefined)
    peer.transport.disconnect()
    await peer.closed
    expect(outcome).not.toHaveBeenCalled()
  })

  test.each([
    ['none', answers()],
    ['two', answers(right, right)],
    ['a very long one', answers(right.padEnd(100, ' '))],
    [
      'millions',
      new WireWriter().u8(message.userauthInfoResponse).u32(1).string(right).finish().fill(0xff, 1, 5),
    ],
  ])('takes %s for a wrong answer or an error, never for the right one', async (_what, response) => {
    const factor = askFor()
    const {peer, accepting} = await halfWay(factor)
    peer.send(interactive())
    await question(peer)
    peer.send(response)
    const accepted = vi.fn()
    accepting.then(accepted, () => undefined)
    expect((await peer.nextOf(message.userauthFailure).catch(() => failure('')))[0]).toBe(
      message.userauthFailure,
    )
    expect(factor.check).not.toHaveBeenCalledWith(right)
    expect(accepted).not.toHaveBeenCalled()
  })

  test.each([
    ['before a question', false],
    ['twice', true],
  ])('ends the connection of who answers %s', async (_when, asked) => {
    const never = vi.fn(() => new Promise<void>(() => undefined))
    const {peer, accepting} = await halfWay(askFor(never))
    if (asked) {
      peer.send(interactive())
      await question(peer)
      peer.send(answers(right))
    }
    peer.send(answers(right))
    await expect(accepting).rejects.toMatchObject({code: 'protocol_error'})
    expect(never.mock.calls.length).toBeLessThanOrEqual(1)
  })

  test('gives time to type, and not for ever', async () => {
    vi.useFakeTimers({toFake: ['setTimeout', 'clearTimeout']})
    try {
      const {peer, accepting} = await halfWay(askFor(), {graceMilliseconds: 5000})
      const left = vi.fn()
      accepting.catch(left)
      await peer.nextOf(message.userauthFailure)
      await vi.advanceTimersByTimeAsync(100_000)
      expect(left).not.toHaveBeenCalled()
      await vi.advanceTimersByTimeAsync(30_000)
      expect(left.mock.calls[0]?.[0]).toMatchObject({code: 'timeout'})
    } finally {
      vi.useRealTimers()
    }
  })
})

describe('an introduction', () => {
  const introduce = (data: string, method = 'hello@test'): Buffer =>
    new WireWriter()
      .u8(message.userauthRequest)
      .string('root')
      .string('ssh-connection')
      .string(method)
      .string(data)
      .finish()

  test('is heard before the certificate, bound to the connection, and lets nobody in by itself', async () => {
    const [a, b] = streamPair()
    const receive = vi.fn()
    const accepting = acceptOn(b, {introductions: {method: 'hello@test', receive}})
    accepting.catch(() => undefined)
    const peer = await rawClient(a)
    peer.send(serviceRequest())
    await peer.nextOf(message.serviceAccept)
    peer.send(introduce('I am'))
    expect(await peer.next()).toEqual(failure('publickey', true))
    expect(receive.mock.calls).toEqual([[Buffer.from('I am'), peer.transport.sessionId()]])
    peer.send(introduce('once more'))
    await expect(accepting).rejects.toMatchObject({code: 'protocol_error'})
  })

  test('that is not believed ends the connection', async () => {
    const [a, b] = streamPair()
    const receive = () => {
      throw problem('certificate_rejected', 'not of a proxy')
    }
    const accepting = acceptOn(b, {introductions: {method: 'hello@test', receive}})
    const connecting = connectOn(a, {introduction: {method: 'hello@test', data: () => Buffer.from('x')}})
    connecting.catch(() => undefined)
    await expect(accepting).rejects.toMatchObject({code: 'certificate_rejected'})
  })

  test.each([
    ['knows the method', {introductions: {method: 'hello@test', receive: () => undefined}}],
    ['does not', {}],
  ])('goes before the login, to a server that %s', async (_what, options) => {
    const [a, b] = streamPair()
    const accepting = acceptOn(b, options)
    const client = await connectOn(a, {introduction: {method: 'hello@test', data: id => id}})
    expect((await accepting).user.username).toBe('root')
    client.disconnect()
  })
})

describe('a client', () => {
  const facing = (factor: SecondFactor, options: Partial<ConnectOptions>) => {
    const [a, b] = streamPair()
    acceptOn(b, {judge: demanding(factor)}).catch(() => undefined)
    return connectOn(a, options)
  }

  test('answers what it is asked', async () => {
    const answer = vi.fn(async () => right)
    const client = await facing(askFor(), {answer})
    expect(answer.mock.calls).toEqual([[{instruction: '', prompt: 'Code:', echo: false}]])
    client.disconnect()
  })

  test('answers again, and is told in the end why it was refused', async () => {
    const answer = vi.fn(async () => '000000')
    await expect(facing(askFor(), {answer})).rejects.toMatchObject({
      ...{code: 'bad_credentials', message: 'that code is wrong'},
    })
    expect(answer).toHaveBeenCalledTimes(3)
  })

  test('takes as long as somebody needs to type', async () => {
    vi.useFakeTimers({toFake: ['setTimeout', 'clearTimeout']})
    try {
      const answer = vi.fn(async () => {
        await vi.advanceTimersByTimeAsync(60_000)
        return right
      })
      const client = await facing(askFor(), {answer, timeoutMilliseconds: 5000})
      expect(answer).toHaveBeenCalledTimes(1)
      client.disconnect()
    } finally {
      vi.useRealTimers()
    }
  })

  test('without anybody to ask says what is needed', async () => {
    await expect(facing(askFor(), {})).rejects.toMatchObject({message: 'a code is needed'})
  })

  test('passes on that nobody would answer', async () => {
    const answer = () => Promise.reject(problem('usage', 'cannot ask without a terminal'))
    await expect(facing(askFor(), {answer})).rejects.toMatchObject({code: 'usage'})
  })

  test('does not answer a host that never looked at its certificate', async () => {
    const answer = vi.fn(async () => right)
    const [a, b] = streamPair()
    const peer = rawPeer(b, {kind: 'server', hostKeys: [await hostIdentity()]})
    const connecting = connectOn(a, {
      ...{
        answer,
        verifyHostKey: async () => undefined,
      },
      credentials: async () => [await userCredential()],
    })
    connecting.catch(() => undefined)
    await peer.nextOf(message.serviceRequest)
    peer.send(new WireWriter().u8(message.serviceAccept).string('ssh-userauth').finish())
    await peer.nextOf(message.userauthRequest)
    peer.send(failure('keyboard-interactive'))
    await expect(connecting).rejects.toMatchObject({code: 'target_refused'})
    expect(answer).not.toHaveBeenCalled()
  })

  test.each([
    ['too many', new WireWriter().u8(60).string('').string('').string('').u32(5).finish()],
    ['too long', new WireWriter().u8(60).string('').string('x'.repeat(5000)).string('').u32(0).finish()],
  ])('refuses %s questions', async (_what, payload) => {
    const [a, b] = streamPair()
    const peer = rawPeer(b, {kind: 'server', hostKeys: [await hostIdentity()]})
    const connecting = connectOn(a, {
      ...{answer: async () => right, verifyHostKey: async () => undefined},
    })
    connecting.catch(() => undefined)
    await peer.nextOf(message.serviceRequest)
    peer.send(new WireWriter().u8(message.serviceAccept).string('ssh-userauth').finish())
    await peer.nextOf(message.userauthRequest)
    peer.send(failure('keyboard-interactive', true))
    await peer.nextOf(message.userauthRequest)
    peer.send(payload)
    await expect(connecting).rejects.toMatchObject({code: 'protocol_error'})
  })
})
