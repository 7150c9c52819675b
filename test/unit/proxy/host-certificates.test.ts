import {describe, expect, it, vi} from 'vitest'
import {problem} from '../../../src/lib/errors/index.js'
import {createHostCertificates} from '../../../src/lib/proxy/host-certificates.js'
import type {HostKeys} from '../../../src/lib/ssh/index.js'
import {
  issueCertificate,
  parseCertificate,
  publicKeyBlob,
  signerFromKey,
} from '../../../src/lib/sshcert/index.js'
import {newKey} from '../ssh/fixture.js'

const hour = 3_600_000

function authority() {
  const signer = signerFromKey(newKey())
  const state = {now: 1_800_000_000_000, issued: [] as string[][], broken: false}
  return {
    state,
    now: () => state.now,
    async issueProxyHostCertificate({principals, publicKey}: {principals: string[]; publicKey: Buffer}) {
      if (state.broken) throw new Error('the store is full')
      state.issued.push(principals)
      const validAfter = BigInt(state.now / 1000)
      return issueCertificate(
        {
          ...{publicKey, kind: 'host', principals, keyId: 'proxy', validAfter},
          serial: BigInt(state.issued.length),
          validBefore: validAfter + 24n * 3600n,
        },
        signer,
      )
    },
  }
}

describe('host certificates of the proxy', () => {
  it('are issued once for a name, also when many ask at once', async () => {
    const auth = authority()
    const certificates = createHostCertificates(auth, auth.now)
    const [a, b] = await Promise.all([certificates.for(['db-1']), certificates.for(['db-1'])])
    expect(a).toBe(b)
    expect(parseCertificate(a.publicBlob).principals).toEqual(['db-1'])
    await certificates.for(['db-2'])
    expect(auth.state.issued).toEqual([['db-1'], ['db-2']])
  })

  it('are renewed before they expire', async () => {
    const auth = authority()
    const certificates = createHostCertificates(auth, auth.now)
    await certificates.for(['db-1'])
    auth.state.now += 23 * hour
    await certificates.for(['db-1'])
    expect(auth.state.issued).toHaveLength(1)
    auth.state.now += hour - 5 * 60_000
    const {publicBlob} = await certificates.for(['db-1'])
    expect(auth.state.issued).toHaveLength(2)
    expect(Number(parseCertificate(publicBlob).validBefore) * 1000).toBeGreaterThan(
      auth.state.now + 23 * hour,
    )
  })

  it('are asked for again after a failure', async () => {
    const auth = authority()
    const certificates = createHostCertificates(auth, auth.now)
    auth.state.broken = true
    await expect(certificates.for(['db-1'])).rejects.toThrow('the store is full')
    auth.state.broken = false
    await expect(certificates.for(['db-1'])).resolves.toBeDefined()
  })

  it('are kept for so many names only, and longest for those in use', async () => {
    const auth = authority()
    const certificates = createHostCertificates(auth, auth.now)
    await certificates.for(['busy'])
    for (let n = 0; n < 1500; n++) {
      await certificates.for([`name-${n}`])
      if (n % 500 === 0) await certificates.for(['busy'])
    }
    const before = auth.state.issued.length
    await certificates.for(['busy'])
    await certificates.for(['name-1499'])
    expect(auth.state.issued).toHaveLength(before)
    await certificates.for(['name-0'])
    expect(auth.state.issued).toHaveLength(before + 1)
  })

  describe('while nobody issues any', () => {
    const away = () => problem('unavailable', 'the connection to the auth service was lost')
    const prepared = async (groups: string[][]) => {
      const auth = authority()
      const line = {away: false}
      const certificates = createHostCertificates(
        {
          async issueProxyHostCertificate(request) {
            if (line.away) throw away()
            return auth.issueProxyHostCertificate(request)
          },
        },
        auth.now,
      )
      await certificates.keepSpares(groups)
      line.away = true
      return {auth, line, certificates}
    }

    it('are those that were put by, of the one host alone, until they expire', async () => {
      const {auth, certificates} = await prepared([
        ['id-1', 'db-1'],
        ['id-2', 'db-2'],
      ])
      const {publicBlob} = await certificates.for(['db-1'])
      expect(parseCertificate(publicBlob).principals).toEqual(['id-1', 'db-1'])
      await expect(certificates.for(['db-3'])).rejects.toMatchObject({code: 'unavailable'})
      await expect(certificates.for(['db-1', 'db-2'])).rejects.toMatchObject({code: 'unavailable'})
      auth.state.now += 24 * hour
      await expect(certificates.for(['db-1'])).rejects.toMatchObject({code: 'unavailable'})
    })

    it('are good for half a day at least', async () => {
      const {auth, line, certificates} = await prepared([['db-1']])
      line.away = false
      auth.state.now += 10 * hour
      await certificates.keepSpares([['db-1']])
      expect(auth.state.issued).toHaveLength(1)
      auth.state.now += 2 * hour
      await certificates.keepSpares([['db-1']])
      expect(auth.state.issued).toHaveLength(2)
      line.away = true
      auth.state.now += 12 * hour
      await expect(certificates.for(['db-1'])).resolves.toBeDefined()
    })

    it('are those of the process before, over its key, as long as they are good', async () => {
      const auth = authority()
      let kept: HostKeys | undefined
      const keep = async (keys: () => HostKeys): Promise<void> => {
        kept = keys()
      }
      const before = createHostCertificates(auth, auth.now, {keep})
      await before.keepSpares([['id-1', 'db-1']])
      const {publicBlob} = await before.for(['10.0.0.1'])
      await vi.waitFor(() => expect(kept?.certificates).toHaveLength(2))
      const nobody = {issueProxyHostCertificate: () => Promise.reject(away())}
      const begun = (now = auth.now) =>
        createHostCertificates(nobody, now, {keep: async () => undefined, ...(kept && {begun: kept})})
      const identity = await begun().for(['10.0.0.1'])
      expect(identity.publicBlob).toEqual(publicBlob)
      expect(publicKeyBlob(identity.privateKey)).toEqual(parseCertificate(publicBlob).publicKey)
      expect(parseCertificate((await begun().for(['db-1'])).publicBlob).principals).toEqual(['id-1', 'db-1'])
      await expect(begun().for(['db-2'])).rejects.toMatchObject({code: 'unavailable'})
      const late = begun(() => auth.now() + 24 * hour)
      await expect(late.for(['db-1'])).rejects.toMatchObject({code: 'unavailable'})
    })

    it('are dropped with their host, and no stand-in for a refusal', async () => {
      const {line, certificates} = await prepared([['db-1'], ['db-2']])
      await certificates.keepSpares([['db-1']])
      await expect(certificates.for(['db-2'])).rejects.toMatchObject({code: 'unavailable'})
      const auth = authority()
      const refusing = createHostCertificates(auth, auth.now)
      await refusing.keepSpares([['db-1']])
      auth.state.broken = true
      await expect(refusing.for(['db-1'])).rejects.toThrow('the store is full')
      expect(line.away).toBe(true)
    })
  })
})
