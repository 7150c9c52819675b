import {duplexPair} from 'node:stream'
import {describe, expect, it, vi} from 'vitest'
import {type AgentEntry, serveAgent, signerEntry} from '../../../src/lib/agent/index.js'
import {type CredentialWish, credentialsFromAgent} from '../../../src/lib/forward/credentials.js'
import {
  type CertificateFields,
  parseCertificate,
  publicKeyBlob,
  signerFromKey,
} from '../../../src/lib/sshcert/index.js'
import {certify, hostAuthority, newKey, userAuthority} from '../ssh/fixture.js'

const now = Date.now()
const key = newKey()
const own = parseCertificate(await certify(key, 'user'))
const wish: CredentialWish = {own, login: 'root', authorities: [userAuthority.publicBlob], now}

const entry = (blob: Buffer, ofKey = key): AgentEntry => signerEntry(signerFromKey(ofKey), 'test', blob)
const certified = async (
  fields: Partial<CertificateFields> = {},
  authority = userAuthority,
): Promise<AgentEntry> => entry(await certify(key, 'user', fields, authority))

function agent(entries: AgentEntry[]) {
  const [near, far] = duplexPair()
  void serveAgent(far, entries)
  return {open: async () => near, near}
}
const from = async (entries: AgentEntry[], more: Partial<CredentialWish> = {}) => {
  const {open} = agent(entries)
  const {credentials, close} = await credentialsFromAgent(open, {...wish, ...more})
  close()
  return credentials.map(({blob}) => blob)
}
const refusal = (message: RegExp) => ({code: 'agent_required', message: expect.stringMatching(message)})

describe('credentials from a forwarded agent', () => {
  it('are the certificate the user came in with, first', async () => {
    const other = await certified()
    const mine = entry(own.blob)
    expect(await from([other, mine])).toEqual([mine.blob, other.blob])
  })

  it('are few, of however many keys and certificates', async () => {
    const plain = Array.from({length: 200}, () => {
      const one = newKey()
      return entry(publicKeyBlob(one), one)
    })
    const many = await Promise.all(Array.from({length: 20}, (_, n) => certified({serial: BigInt(n)})))
    const found = await from([...plain, ...many, entry(own.blob)])
    expect(found).toHaveLength(3)
    expect(found[0]).toEqual(own.blob)
  })

  it('can sign', async () => {
    const {open} = agent([entry(own.blob)])
    const {credentials, close} = await credentialsFromAgent(open, wish)
    expect(await credentials[0]?.signer.sign(Buffer.from('data'), 'ssh-ed25519')).toBeInstanceOf(Buffer)
    close()
  })

  const expired = BigInt(Math.floor(now / 1000))
  it.each<[string, () => Promise<AgentEntry>, RegExp]>([
    ['another authority', () => certified({}, hostAuthority), /no certificate of this cluster/],
    ['a plain key', async () => entry(publicKeyBlob(key)), /no certificate of this cluster/],
    [
      'a host',
      async () => entry(await certify(key, 'host', {}, userAuthority)),
      /no certificate of this cluster/,
    ],
    ['somebody else', () => certified({keyId: 'jane'}), /no valid certificate of joe for the login root/],
    [
      'another login',
      () => certified({principals: ['www']}),
      /no valid certificate of joe for the login root/,
    ],
    ['the past', () => certified({validBefore: expired}), /no valid certificate of joe/],
  ])('are not those of %s', async (_name, make, message) => {
    await expect(from([await make()])).rejects.toMatchObject(refusal(message))
  })

  it('do not lead round a forced command', async () => {
    const forced = await certified({criticalOptions: new Map([['force-command', 'ls']])})
    const free = await certified()
    const mine = parseCertificate(forced.blob)
    expect(await from([free, forced], {own: mine})).toEqual([forced.blob])
    await expect(from([free], {own: mine})).rejects.toMatchObject(refusal(/no valid certificate/))
  })

  it('are missed in the words people look for when no agent is forwarded', async () => {
    const open = async (): Promise<never> => {
      throw new Error('refused')
    }
    await expect(credentialsFromAgent(open, wish)).rejects.toMatchObject(
      refusal(/^agent forwarding required in proxy recording mode$/),
    )
  })

  it('are not waited for longer than a moment', async () => {
    vi.useFakeTimers()
    try {
      const [near] = duplexPair()
      const waiting = credentialsFromAgent(async () => near, wish)
      const settled = expect(waiting).rejects.toMatchObject(refusal(/no answer in 10 s/))
      await vi.advanceTimersByTimeAsync(10_001)
      await settled
      expect(near.destroyed).toBe(true)
    } finally {
      vi.useRealTimers()
    }
  })

  it.each([
    ['nonsense', Buffer.from([0, 0, 0, 1, 99])],
    ['a reply without end', Buffer.from([0xff, 0xff, 0xff, 0xff])],
    ['more keys than there are bytes', Buffer.from([0, 0, 0, 5, 12, 0xff, 0xff, 0xff, 0xff])],
  ])('come to nothing when the agent sends %s', async (_name, reply) => {
    const [near, far] = duplexPair()
    far.once('data', () => far.write(reply))
    await expect(credentialsFromAgent(async () => near, wish)).rejects.toMatchObject({code: 'agent_required'})
    expect(near.destroyed).toBe(true)
  })
})
