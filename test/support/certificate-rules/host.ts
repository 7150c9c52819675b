import {signedBy} from '../forged-certificate.js'
import type {Cast, Rule} from './rule.js'

/** The host that the certificates of the host rules are asked about. */
export const hostName = 'web.example.com'

/** Rules of host certificates; here `sshd` stands for the stock client, which judges what a sshd shows it. */
export function hostRules({now, authority, rsaAuthority, ecAuthority, subject}: Cast): Rule[] {
  const host = {kind: 2, principals: [hostName], extensions: []}
  const rule = (name: string, change: Rule['change'], rest: Omit<Rule, 'name' | 'change'>): Rule => ({
    name,
    change: {...host, ...signedBy(authority), ...change},
    ...rest,
  })
  const accepted = {code: 'accepted', sshd: 'accepts'} as const
  const refused = (sshd: RegExp) => ({code: 'certificate_rejected', sshd}) as const
  const seconds = (from: bigint, to: bigint) => ({validAfter: now + from, validBefore: now + to})
  const one = (name: string) => ({principals: [name]})
  const sourced = {criticalOptions: [['source-address', '127.0.0.1']]} as const
  const unknown = {criticalOptions: [['zzz', 'x']]} as const
  const older = {code: 'certificate_rejected', sshd: 'unasked: older clients take it for any host'} as const
  return [
    rule('nothing is wrong', {}, accepted),
    rule('an RSA authority signs', signedBy(rsaAuthority), accepted),
    rule('an ECDSA authority signs', signedBy(ecAuthority), accepted),
    rule('the host is one of several principals', {principals: ['a', hostName, '::1']}, accepted),
    rule('it has an unknown extension', {extensions: [['x-role@example.com', 'node']]}, accepted),
    rule('it is valid for ever', {validAfter: 0n, validBefore: 2n ** 64n - 1n}, accepted),
    rule('the authority is not trusted', signedBy(subject), refused(/Host key verification failed/)),
    rule('it is a user certificate', {kind: 1}, refused(/not a host certificate/)),
    rule('it names another host', one('db.example.com'), refused(/not a listed principal/)),
    rule('it names the host in capitals', one('WEB.example.com'), refused(/not a listed principal/)),
    rule('it names the domain', one('example.com'), refused(/not a listed principal/)),
    rule('it names no host', {principals: []}, older),
    rule('it is for every host', one('*'), refused(/not a listed principal/)),
    rule('it is for every host of a domain', one('*.example.com'), refused(/not a listed principal/)),
    rule('it expired a second ago', seconds(-60n, -1n), {code: 'certificate_expired', sshd: /expired/}),
    rule('it begins in an hour', seconds(3600n, 7200n), {code: 'clock_skew', sshd: /not yet valid/}),
    rule('it has a critical option that users may have', sourced, refused(/unsupported critical option/i)),
    rule('it has an unknown critical option', unknown, refused(/unsupported critical option/i)),
  ]
}
