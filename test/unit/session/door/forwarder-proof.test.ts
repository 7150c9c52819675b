import fc from 'fast-check'
import {beforeAll, describe, expect, test} from 'vitest'
import {checkForwarderWord} from '../../../../src/lib/session/door/forwarder-proof.js'
import {
  checkForwarderProof,
  makeForwarderProof,
  makeForwarderWord,
} from '../../../../src/lib/session/index.js'
import {publicKeyBlob, signData, WireWriter} from '../../../../src/lib/sshcert/index.js'
import {certify, hostAuthority, newKey, pair, userAuthority} from '../../ssh/fixture.js'

const key = newKey()
const sessionId: Buffer = Buffer.alloc(32, 7)
const policy = {authorities: [hostAuthority.publicBlob], sessionId, now: Date.now()}
const role = (name: string) => new Map([['x-teleport-role', name]])
let certificate: Buffer

beforeAll(async () => {
  certificate = await certify(key, 'host', {extensions: role('Proxy')})
})

const proofBy = (publicBlob: Buffer, id = sessionId, privateKey = key) =>
  makeForwarderProof({privateKey, publicBlob}, id)
const refusal = (proof: Buffer, changes: Partial<typeof policy> = {}): string => {
  try {
    checkForwarderProof(proof, {...policy, ...changes})
  } catch (error) {
    return (error as {code: string}).code
  }
  return 'believed'
}

describe('the proof of a forwarder', () => {
  test('by a proxy of the cluster, for this very connection, is believed', () => {
    expect(refusal(proofBy(certificate))).toBe('believed')
  })

  test('is made and checked on the two ends of one connection, and holds on no other', async () => {
    const [one, other] = [await pair(), await pair()]
    expect(one.client.sessionId()).toEqual(one.server.sessionId())
    const proof = proofBy(certificate, one.client.sessionId())
    expect(refusal(proof, {sessionId: one.server.sessionId()})).toBe('believed')
    expect(refusal(proof, {sessionId: other.server.sessionId()})).toBe('certificate_rejected')
  })

  test.each(['Node', 'proxy', ''])('with a certificate of the role %j is refused', async name => {
    const blob = await certify(key, 'host', {extensions: role(name)})
    expect(refusal(proofBy(blob))).toBe('certificate_rejected')
  })

  test('with a host certificate that says nothing of a role is refused', async () => {
    expect(refusal(proofBy(await certify(key, 'host')))).toBe('certificate_rejected')
  })

  test("with a user's certificate is refused, whoever signed it and whatever it says", async () => {
    const extensions = role('Proxy')
    expect(refusal(proofBy(await certify(key, 'user', {extensions})))).toBe('certificate_rejected')
    const odd = await certify(key, 'user', {extensions}, hostAuthority)
    expect(refusal(proofBy(odd))).toBe('certificate_rejected')
  })

  test('by an authority of another cluster, or the user authority, is refused', async () => {
    const extensions = role('Proxy')
    const foreign = await certify(key, 'host', {extensions}, userAuthority)
    expect(refusal(proofBy(foreign))).toBe('certificate_rejected')
  })

  test('with an expired certificate is refused', () => {
    expect(refusal(proofBy(certificate), {now: Date.now() + 7_200_000})).toBe('certificate_expired')
  })

  test('with the certificate alone, which every client of the proxy has seen, is refused', async () => {
    const mine = newKey()
    expect(refusal(proofBy(certificate, sessionId, mine))).toBe('certificate_rejected')
  })

  test('is not a signature that the same key made for a key exchange or a login', () => {
    const others = [
      sessionId,
      new WireWriter().string(sessionId).finish(),
      new WireWriter().string('hostkeys-prove-00@openssh.com').string(sessionId).finish(),
    ]
    for (const data of others) {
      const proof = new WireWriter().string(certificate).string(signData(key, data)).finish()
      expect(refusal(proof)).toBe('certificate_rejected')
    }
  })

  test('with a plain key is refused', () => {
    expect(refusal(proofBy(publicKeyBlob(key)))).toBe('certificate_rejected')
  })

  test('on a connection that has no session identifier is neither made nor believed', () => {
    expect(() => proofBy(certificate, Buffer.alloc(0))).toThrow('session identifier')
    expect(refusal(proofBy(certificate), {sessionId: Buffer.alloc(0)})).toBe('protocol_error')
  })

  test('with any byte changed, cut or added is refused', () => {
    const proof = proofBy(certificate)
    fc.assert(
      fc.property(fc.nat(proof.length - 1), fc.integer({min: 1, max: 255}), (at, flip) => {
        const changed = Buffer.from(proof)
        changed[at] = (changed[at] ?? 0) ^ flip
        expect(refusal(changed)).not.toBe('believed')
        expect(refusal(proof.subarray(0, at))).not.toBe('believed')
      }),
    )
    expect(refusal(Buffer.concat([proof, Buffer.alloc(1)]))).not.toBe('believed')
  })

  test('made of arbitrary bytes is refused without a crash', () => {
    fc.assert(
      fc.property(fc.uint8Array({maxLength: 512}), bytes => {
        expect(refusal(Buffer.from(bytes))).toMatch(/^(protocol_error|certificate_rejected|invalid_input)$/)
      }),
    )
  })
})

describe('the word of a forwarder', () => {
  const says = {user: 'joe', secondFactor: true, address: '192.0.2.9'}
  const heard = (data: Buffer): unknown => {
    try {
      return checkForwarderWord(data, policy)
    } catch (error) {
      return (error as {code: string}).code
    }
  }
  const refused = /^(protocol_error|certificate_rejected|invalid_input)$/

  test('is heard as it was given', () => {
    fc.assert(
      fc.property(
        fc.string({maxLength: 64}),
        fc.boolean(),
        fc.string({maxLength: 64}),
        (user, secondFactor, address) => {
          const word = {user, secondFactor, address}
          expect(
            heard(makeForwarderWord({privateKey: key, publicBlob: certificate}, sessionId, word)),
          ).toEqual(word)
        },
      ),
      {numRuns: 25},
    )
  })

  test('is refused when anything in it is changed, cut off or added', () => {
    const word = makeForwarderWord({privateKey: key, publicBlob: certificate}, sessionId, says)
    expect(heard(word)).toEqual(says)
    fc.assert(
      fc.property(fc.nat(word.length - 1), fc.integer({min: 1, max: 255}), (at, flip) => {
        const changed = Buffer.from(word)
        changed[at] = (changed[at] ?? 0) ^ flip
        expect(heard(changed)).toMatch(refused)
        expect(heard(word.subarray(0, at))).toMatch(refused)
      }),
    )
    expect(heard(Buffer.concat([word, Buffer.alloc(1)]))).toMatch(refused)
  })

  test('is no proof, nor the other way round', () => {
    const identity = {privateKey: key, publicBlob: certificate}
    expect(refusal(makeForwarderWord(identity, sessionId, says))).not.toBe('believed')
    expect(heard(makeForwarderProof(identity, sessionId))).toMatch(refused)
  })

  test('made of arbitrary bytes is refused without a crash', () => {
    fc.assert(
      fc.property(fc.uint8Array({maxLength: 512}), bytes => {
        expect(heard(Buffer.from(bytes))).toMatch(refused)
      }),
    )
  })
})
