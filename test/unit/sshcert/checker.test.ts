import {expect, test} from 'vitest'
import {problemLine, SallyportError} from '../../../src/lib/errors/index.js'
import {type CertificatePolicy, checkCertificate, parseCertificate} from '../../../src/lib/sshcert/index.js'
import {
  castOfKeys,
  certificateRules,
  hostName,
  hostRules,
  type Rule,
} from '../../support/certificate-rules/index.js'
import {forgeCertificate} from '../../support/forged-certificate.js'
import {leastProcessorTime} from '../../support/processor-time.js'

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

function caught(act: () => void): SallyportError {
  try {
    act()
  } catch (error) {
    if (error instanceof SallyportError) return error
    throw error
  }
  throw new Error('nothing was refused')
}

const outcome = (act: () => void): string => {
  try {
    act()
    return 'accepted'
  } catch (error) {
    if (!(error instanceof SallyportError)) throw error
    return error.code
  }
}

function judge({change, policy}: Rule, standard: CertificatePolicy): {result: string; time: number} {
  const blob = forgeCertificate({...cast.sound, ...change})
  const conditions = withoutUndefined({...standard, ...policy})
  let result = ''
  const time = leastProcessorTime(() => {
    result = outcome(() => checkCertificate(parseCertificate(blob), conditions))
  })
  return {result, time}
}

test.each(certificateRules(cast))('user certificate: $name → $code', rule => {
  const {result, time} = judge(rule, policy)
  expect(result).toBe(rule.code)
  expect(time).toBeLessThan(50)
})

test.each(hostRules(cast))('host certificate: $name → $code', rule => {
  const standard = {...policy, kind: 'host', principal: hostName} as const
  expect(judge(rule, standard).result).toBe(rule.code)
})

test('without a principal asked for, any will do', () => {
  const {principal: _, ...anybody} = policy
  const certificate = parseCertificate(forgeCertificate(cast.sound))
  expect(() => checkCertificate(certificate, anybody)).not.toThrow()
})

test('a refusal is one line that names the reason, whatever the certificate holds', () => {
  const principals = ['evil\u001b]0;x\u0007\r\nname']
  const certificate = parseCertificate(forgeCertificate({...cast.sound, principals}))
  const refusal = caught(() => checkCertificate(certificate, policy))
  expect(refusal.message).toMatch(/^certificate rejected: its principal "evil[^\p{Cc}]+$/u)
})

test('an expired certificate says when it ended and what to do', () => {
  const certificate = parseCertificate(forgeCertificate({...cast.sound, validBefore: now - 1n}))
  const refusal = caught(() => checkCertificate(certificate, policy))
  expect(problemLine(refusal)).toBe(
    'the certificate expired at 2027-01-15T07:59:59.000Z; log in again [certificate_expired]',
  )
})

test('what has been parsed no longer changes with the buffer it came in', () => {
  const blob = forgeCertificate(cast.sound)
  const certificate = parseCertificate(blob)
  blob.fill(0)
  expect(() => checkCertificate(certificate, policy)).not.toThrow()
})
