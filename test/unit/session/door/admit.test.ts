import {describe, expect, test, vi} from 'vitest'
import type {SessionOptions} from '../../../../src/lib/access/types.js'
import type {AuditInput} from '../../../../src/lib/audit/event.js'
import {problem} from '../../../../src/lib/errors/index.js'
import {
  admitClient,
  type ForwarderWord,
  forwarderWordMethod,
  makeForwarderWord,
} from '../../../../src/lib/session/index.js'
import type {HostIdentity} from '../../../../src/lib/ssh/index.js'
import {type CertificateFields, pinTo, signerFromKey} from '../../../../src/lib/sshcert/index.js'
import {everything} from '../../forward/fixture.js'
import {proxyIdentity} from '../../node/fixture.js'
import {
  certify,
  connectOn,
  hostAuthority,
  hostIdentity,
  newKey,
  streamPair,
  userAuthority,
} from '../../ssh/fixture.js'

const key = newKey()
const ends = {remoteIp: '192.0.2.9', remoteAddress: '192.0.2.9:5000', localAddress: '192.0.2.7:3022'}
const right = '123456'
const target = await hostIdentity()
const proxy = await proxyIdentity()

interface Wish {
  options?: Partial<SessionOptions>
  certificate?: Partial<CertificateFields>
  /** What the user types; nobody does where there is none. */
  codes?: string[]
  /** A forwarder in front says so. */
  word?: {by: HostIdentity; says: ForwarderWord}
  /** Whether proxies are believed. */
  behindProxies?: boolean
  check?: (code: string) => Promise<void>
  now?: () => number
}

/** One login, and what came of it at both ends. */
async function login(wish: Wish) {
  const [near, far] = streamPair()
  const events: AuditInput[] = []
  const checkSessionMfa = vi.fn(async ({code}: {code: string}) => {
    await wish.check?.(code)
    if (code !== right) throw problem('bad_credentials', 'that code is wrong')
  })
  const admitted = admitClient(
    {
      ...{graceMilliseconds: 5000, keepAliveMilliseconds: 0, now: wish.now ?? Date.now},
      report: input => void events.push(input),
    },
    {
      ...{stream: far, ends, hostIdentity: target, userAuthorities: [userAuthority.publicBlob]},
      ...((wish.behindProxies ?? wish.word) && {forwarders: [hostAuthority.publicBlob]}),
      refusal: name => ({login: name}),
    },
    {
      ...{host: 'db1', auth: {checkSessionMfa}},
      decide: async () => ({allowed: true, reason: 'test', options: {...everything, ...wish.options}}),
    },
  )
  const blob = await certify(key, 'user', wish.certificate)
  const {word} = wish
  const codes = [...(wish.codes ?? [])]
  const connected = connectOn(near, {
    credentials: async () => [{blob, signer: signerFromKey(key)}],
    ...(wish.codes && {answer: async () => codes.shift() ?? ''}),
    ...(word && {
      introduction: {method: forwarderWordMethod, data: id => makeForwarderWord(word.by, id, word.says)},
    }),
  })
  const [here, there] = await Promise.all([
    admitted.then(
      () => 'in',
      () => 'out',
    ),
    connected.then(
      () => 'in',
      (error: {code: string; message: string}) => error,
    ),
  ])
  return {here, there, events, checked: checkSessionMfa.mock.calls.map(([request]) => request)}
}

const mfa = {options: {requireSessionMfa: true}}
const pin = (address: string) => ({certificate: {extensions: new Map([pinTo(address) ?? ['', '']])}})
const word = (changes: Partial<ForwarderWord> = {}, by: HostIdentity = proxy) => ({
  word: {by, says: {user: 'joe', secondFactor: true, address: '198.51.100.4', ...changes}},
})

describe('a second factor', () => {
  test('is not asked for where no role wants it', async () => {
    expect(await login({codes: []})).toMatchObject({here: 'in', there: 'in', checked: []})
  })

  test('lets in who types the right code, after a slip too, and says to the auth service where', async () => {
    const {here, checked} = await login({...mfa, codes: ['000000', right]})
    expect(here).toBe('in')
    expect(checked).toEqual(
      ['000000', right].map(code => ({
        ...{user: 'joe', code, address: '192.0.2.9:5000', login: 'root', server_hostname: 'db1'},
      })),
    )
  })

  test('keeps everybody else out, with a reason on both sides', async () => {
    const {here, there, events} = await login({...mfa, codes: ['000000', '000000', '000000']})
    expect(here).toBe('out')
    expect(there).toMatchObject({code: 'bad_credentials'})
    expect(events).toMatchObject([
      {event: 'auth', success: false, login: 'root', error: 'that code is wrong'},
    ])
    expect((await login(mfa)).here).toBe('out')
  })

  test('never troubles the auth service with what cannot be a code', async () => {
    const {here, checked} = await login({...mfa, codes: ['my password', '12345', '']})
    expect({here, checked}).toEqual({here: 'out', checked: []})
  })

  test('lets nobody in while the auth service is away', async () => {
    const check = () => Promise.reject(problem('unavailable', 'the auth service is away'))
    const {here, there} = await login({...mfa, codes: [right], check})
    expect(here).toBe('out')
    expect(there).toMatchObject({code: 'unavailable', message: 'the auth service is away'})
  })

  test('lets nobody in whose certificate has expired while the code was typed', async () => {
    let now = Date.now()
    const check = async () => {
      now += 2 * 3_600_000
    }
    const {here, there} = await login({...mfa, codes: [right], check, now: () => now})
    expect(here).toBe('out')
    expect(there).toMatchObject({code: 'certificate_expired'})
  })
})

describe('a pinned certificate', () => {
  const roles = {options: {pinSourceIp: true}}

  test.each([
    ['from its address', {...roles, ...pin('192.0.2.9')}, 'in'],
    ['from another address', {...roles, ...pin('192.0.2.8')}, 'out'],
    ['from another address, where no role wants it any more', pin('192.0.2.8'), 'out'],
    ['that should be one and is not', roles, 'out'],
    ['that need not be one and is not', {}, 'in'],
  ])('%s', async (_what, wish, outcome) => {
    expect((await login(wish)).here).toBe(outcome)
  })

  test('says what helps', async () => {
    expect((await login(roles)).there).toMatchObject({
      code: 'access_denied',
      message: expect.stringMatching(/this one is not pinned.*log in again/),
    })
  })
})

describe('the word of a forwarder', () => {
  test.each([
    ['stands for the second factor', {...mfa, ...word()}, 'in'],
    ['that has not asked', {...mfa, ...word({secondFactor: false})}, 'out'],
    ['that has asked somebody else', {...mfa, ...word({user: 'ann'})}, 'out'],
    ['stands for the address', {...pin('198.51.100.4'), ...word()}, 'in'],
    ['that tells of another address', {...pin('192.0.2.9'), ...word()}, 'out'],
    ['that tells of no address', {...pin('192.0.2.9'), ...word({address: ''})}, 'out'],
    ['where nobody is believed', {...mfa, ...word(), behindProxies: false}, 'out'],
  ])('%s: %#', async (_what, wish, outcome) => {
    expect((await login(wish)).here).toBe(outcome)
  })

  test.each([
    ['a node', () => certify(proxy.privateKey, 'host', {extensions: new Map([['x-teleport-role', 'Node']])})],
    ['plain sshd', () => certify(proxy.privateKey, 'host')],
    [
      'a user',
      () => certify(proxy.privateKey, 'user', {extensions: new Map([['x-teleport-role', 'Proxy']])}),
    ],
    [
      'another cluster',
      () =>
        certify(
          proxy.privateKey,
          'host',
          {extensions: new Map([['x-teleport-role', 'Proxy']])},
          userAuthority,
        ),
    ],
  ])('by %s is not believed, and ends the connection', async (_who, publicBlob) => {
    const by = {privateKey: proxy.privateKey, publicBlob: await publicBlob()}
    expect(await login({...mfa, ...word({}, by), codes: [right]})).toMatchObject({here: 'out', checked: []})
  })

  test('is worth nothing on another connection, nor with another key, nor with other words', async () => {
    const says = word().word.says
    const on = (data: (id: Buffer) => Buffer) => {
      const [near, far] = streamPair()
      const admitted = admitClient(
        {graceMilliseconds: 5000, keepAliveMilliseconds: 0, now: Date.now, report: () => undefined},
        {
          ...{stream: far, ends, hostIdentity: target, userAuthorities: [userAuthority.publicBlob]},
          ...{forwarders: [hostAuthority.publicBlob], refusal: () => ({})},
        },
        {
          ...{host: 'db1', auth: {checkSessionMfa: async () => undefined}},
          decide: async () => ({allowed: true, reason: 'test', options: everything}),
        },
      )
      connectOn(near, {introduction: {method: forwarderWordMethod, data}}).catch(() => undefined)
      return admitted.then(
        () => 'in',
        () => 'out',
      )
    }
    expect(await on(id => makeForwarderWord(proxy, id, says))).toBe('in')
    expect(await on(() => makeForwarderWord(proxy, Buffer.alloc(32, 1), says))).toBe('out')
    expect(await on(id => makeForwarderWord({...proxy, privateKey: newKey()}, id, says))).toBe('out')
    expect(await on(id => Buffer.concat([makeForwarderWord(proxy, id, says), Buffer.of(0)]))).toBe('out')
    expect(await on(id => makeForwarderWord(proxy, id, {...says, address: 'x'.repeat(2000)}))).toBe('out')
    const changed = (id: Buffer): Buffer => {
      const data = makeForwarderWord(proxy, id, says)
      const at = data.indexOf('198.51.100.4')
      data[at] = 0x32
      return data
    }
    expect(await on(changed)).toBe('out')
  })
})
