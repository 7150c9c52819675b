import {problem} from '../errors/index.js'
import type {PresentedHostKey} from '../ssh/index.js'
import {checkCertificate} from '../sshcert/index.js'

export interface HostKeyPolicy {
  /** The name the user asked for. */
  host: string
  /** Other names that prove as well that it is this host. */
  otherNames?: readonly string[]
  authorities: readonly Buffer[]
  /** `proxy_checks_host_keys`: false lets any key pass. */
  check: boolean
  /** Unix milliseconds. */
  now: number
}

/**
 * Decides whether a target is who it should be: a certificate of the host CA that names the host as asked for. Pure.
 * @throws host_key_refused
 */
export function judgeHostKey(key: PresentedHostKey, policy: HostKeyPolicy): void {
  if (!policy.check) return
  if (!key.certificate) {
    throw problem('host_key_refused', 'remote host presented a public key, expected a host certificate', {
      hint: `make one with \`sallyport auth sign --host=${policy.host} --format=openssh\` and set HostCertificate in its sshd_config`,
    })
  }
  const {certificate} = key
  const others = policy.otherNames ?? []
  const principal =
    [policy.host, ...others].find(name => certificate.principals.includes(name)) ?? policy.host
  try {
    checkCertificate(certificate, {
      kind: 'host',
      authorities: policy.authorities,
      principal,
      now: policy.now,
    })
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw problem('host_key_refused', `the host certificate of ${policy.host} was refused: ${why}`, {
      hint: 'sign a new one with `sallyport auth sign --host=…` that names the host as users do',
      cause,
    })
  }
}
