import {problem} from '../../errors/index.js'
import {formatProxyAddress} from '../address.js'
import type {Profile, ProfilePaths} from '../identity/profile.js'

export interface SshConfigOptions {
  profile: Pick<Profile, 'proxy' | 'user' | 'cluster' | 'keyStore'>
  paths: ProfilePaths
  /** Host patterns of the block; all hosts when empty. */
  patterns: readonly string[]
  /** The words that start this program. */
  command: readonly string[]
}

/**
 * An ssh_config(5) block that takes plain `ssh root@host` through the proxy.
 * @throws invalid_input for a pattern or path that ssh_config has no way to write
 */
export function sshConfig({profile, paths, patterns, command}: SshConfigOptions): string {
  const address = formatProxyAddress(profile.proxy)
  const proxyCommand = [...command, 'proxy', 'ssh', `--proxy=${address}`, `--user=${profile.user}`]
  const words = proxyCommand.map(word => escapePercent(shellWord(word))).join(' ')
  const scope =
    patterns.length === 0
      ? ["# It is for every host; for some of them: sallyport config web-1 '*.prod.example.com'"]
      : []
  return [
    `# Hosts of ${profile.cluster} through the proxy ${address}, as ${profile.user}; made by: sallyport config`,
    ...scope,
    `Host ${(patterns.length === 0 ? ['*'] : patterns).map(hostPattern).join(' ')}`,
    // It lends a recording proxy the one key that it signs with: hosts need not be lent the user's agent for that.
    `    ProxyCommand ${words} %r@%h:%p`,
    // ssh signs for a CertificateFile with a key in a file, never with the agent's entry for the certificate: for that
    // one the certificate is named as an identity too. So the block holds wherever the next login keeps the key.
    `    IdentityFile ${quoted(paths.certificate)}`,
    `    IdentityFile ${quoted(paths.privateKey)}`,
    `    CertificateFile ${quoted(paths.certificate)}`,
    // Other keys of the user's agent would use up the server's MaxAuthTries before ours comes.
    '    IdentitiesOnly yes',
    `    UserKnownHostsFile ${quoted(paths.knownHosts)}`,
    '',
  ].join('\n')
}

/** ssh_config expands `%x` and `${NAME}` in paths; only the first can be escaped. */
function quoted(path: string): string {
  if (/[\p{Cc}"]|\$\{/u.test(path))
    throw problem('invalid_input', `ssh_config cannot name the path ${JSON.stringify(path)}`, {
      hint: 'set SALLYPORT_HOME to a directory with a plain name, and log in again',
    })
  return `"${escapePercent(path)}"`
}

const escapePercent = (text: string): string => text.replaceAll('%', '%%')

/**
 * One word for the shell that runs a ProxyCommand. ssh looks at the quotes of the line before the shell does, and to
 * it a backslash in single quotes is an escape: quotes and backslashes stand in double quotes, which both read alike.
 */
function shellWord(word: string): string {
  if (/\p{Cc}/u.test(word))
    throw problem('invalid_input', `a ProxyCommand cannot hold ${JSON.stringify(word)}`)
  if (/^[A-Za-z0-9_/.:=@+,-]+$/.test(word)) return word
  const parts = word.match(/[^'\\]+|'|\\/g) ?? []
  const quote = (part: string) => (part === "'" ? `"'"` : part === '\\' ? '"\\\\"' : `'${part}'`)
  return parts.map(quote).join('')
}

function hostPattern(pattern: string): string {
  if (!/^!?[A-Za-z0-9_.:%*?-]+$/.test(pattern))
    throw problem('invalid_input', `${JSON.stringify(pattern)} is not a host pattern of ssh_config`, {
      hint: 'use host names with * and ?',
    })
  return pattern
}
