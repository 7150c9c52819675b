import {expect, test} from 'vitest'
import {SallyportError} from '../../../src/lib/errors/index.js'
import {type CertificatePolicy, checkCertificate, parseCertificate} from '../../../src/lib/sshcert/index.js'
import {castOfKeys, certificateRules} from '../../support/certificate-rules/index.js'
import {forgeCertificate} from '../../support/forged-certificate.js'

const now = 1_800_000_000n
const cast = castOfKeys(now, 'root')
const policy = {
  kind: 'user',
  authorities: cast.trusted,
  principal: 'root',
  now: Number(now) * 1000 + 999,
  remoteAddress: '127.0.0.1',
} as const

const withoutUndefined = (changed: Record<string, unknown>): CertificatePolicy =>
  Object.fromEntries(
    Object.entries(changed).filter(([, value]) => value !== undefined),
  ) as unknown as CertificatePolicy

const outcome = (act: () => void): string => {
  try {
    act()
    return 'accepted'
  } catch (error) {
    if (!(error instanceof SallyportError)) throw error
    return error.code
  }
}

test.each(certificateRules(cast))('user certificate: $name → $code', ({change, code, ...rule}) => {
  const blob = forgeCertificate({...cast.sound, ...change})
  const conditions = withoutUndefined({...policy, ...rule.policy})
  const started = process.cpuUsage()
  const result = outcome(() => checkCertificate(parseCertificate(blob), conditions))
  const {user, system} = process.cpuUsage(started)
  expect(result).toBe(code)
  expect((user + system) / 1000).toBeLessThan(50)
})
