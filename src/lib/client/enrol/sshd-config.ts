import {dirname, join} from 'node:path'
import {problem} from '../../errors/index.js'

/** What sshd says that it would use (`sshd -T`), as far as enrolling looks at it. */
export interface SshdSettings {
  ports: number[]
  /** `host:port` of each address that it listens on. */
  listening: string[]
  hostKeys: string[]
  hostCertificates: string[]
  /** Paths of `TrustedUserCAKeys`. */
  trustedUserCaKeys: string[]
  pidFile: string
}

/** The files that enrolling keeps beside sshd's own. */
export interface EnrolPaths {
  /** sshd's own configuration. */
  config: string
  /** What is included in it. */
  dropIn: string
  /** Of a host that has no Ed25519 key of its own. */
  hostKey: string
  certificate: string
  userCa: string
  /** UUID of the host, for the next time. */
  state: string
}

/** Reads the answer of `sshd -T`: a setting a line, in lower case. */
export function parseSshdSettings(text: string): SshdSettings {
  const values = (name: string): string[] =>
    text
      .split('\n')
      .map(line => /^(\S+)\s+(.*)$/.exec(line))
      .filter(match => match?.[1] === name && match[2] !== 'none')
      .map(match => match?.[2] ?? '')
  return {
    ports: values('port').map(Number),
    listening: values('listenaddress'),
    hostKeys: values('hostkey'),
    hostCertificates: values('hostcertificate'),
    trustedUserCaKeys: values('trustedusercakeys'),
    pidFile: values('pidfile')[0] ?? '/run/sshd.pid',
  }
}

/**
 * Where the files go. sshd reads a directory that its configuration includes.
 * @param text of sshd's configuration
 * @throws config_invalid where it includes none
 */
export function enrolPaths(config: string, text: string): EnrolPaths {
  const directory = dirname(config)
  const pattern = text
    .split(/\r?\n/)
    // What stands in a Match block is for some connections alone.
    .slice(0, firstMatch(text))
    .flatMap(line => /^\s*include[\s=]+(.*)$/i.exec(line)?.[1]?.match(/"[^"]*"|\S+/g) ?? [])
    .map(word => word.replaceAll('"', ''))
    .find(word => word.endsWith('/*.conf'))
  if (pattern === undefined)
    throw problem('config_invalid', `${config} includes no directory of configuration files`, {
      hint: `put this line at its top: Include ${join(directory, 'sshd_config.d')}/*.conf`,
    })
  const included = dirname(pattern)
  return {
    config,
    dropIn: join(included.startsWith('/') ? included : join(directory, included), '50-sallyport.conf'),
    hostKey: join(directory, 'sallyport_host'),
    certificate: join(directory, 'sallyport_host-cert.pub'),
    userCa: join(directory, 'sallyport_user_ca.pub'),
    state: join(directory, 'sallyport_host.json'),
  }
}

function firstMatch(text: string): number {
  const at = text.split(/\r?\n/).findIndex(line => /^\s*match\s/i.test(line))
  return at === -1 ? Number.POSITIVE_INFINITY : at
}

/**
 * The lines for sshd. As soon as one HostKey is set sshd serves no other, so with a key of ours the host's own keys are
 * named again: whoever knows the host by one of them is not warned.
 * @param certified path of the key that the certificate is for
 */
export function dropInText(paths: EnrolPaths, own: SshdSettings, certified: string): string {
  const keys =
    certified === paths.hostKey ? [...own.hostKeys.filter(path => path !== certified), certified] : []
  const certificates = [...own.hostCertificates.filter(path => path !== paths.certificate), paths.certificate]
  return [
    '# Made by `sallyport join openssh`; to take the host out again, remove this file and reload sshd.',
    ...keys.map(path => `HostKey ${quoted(path)}`),
    ...certificates.map(path => `HostCertificate ${quoted(path)}`),
    `TrustedUserCAKeys ${quoted(paths.userCa)}`,
    '',
  ].join('\n')
}

const quoted = (path: string): string => {
  if (/["\p{Cc}]/u.test(path))
    throw problem('config_invalid', `sshd_config cannot name the path ${JSON.stringify(path)}`)
  return /\s/.test(path) ? `"${path}"` : path
}
