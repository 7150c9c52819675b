import {accessSync, constants} from 'node:fs'
import {problem} from '../../errors/index.js'

/** OpenSSH's sftp-server on Debian, on Fedora and RHEL, on Alpine, Arch and SUSE, on macOS and BSD, from source. */
const places = [
  '/usr/lib/openssh/sftp-server',
  '/usr/libexec/openssh/sftp-server',
  '/usr/lib/ssh/sftp-server',
  '/usr/libexec/ssh/sftp-server',
  '/usr/libexec/sftp-server',
  '/usr/local/libexec/sftp-server',
]

/** Path of the host's SFTP server. @throws unavailable where it has none */
export function findSftpServer(candidates: readonly string[] = places): string {
  const found = candidates.find(isExecutable)
  if (found !== undefined) return found
  throw problem('unavailable', 'this host has no SFTP server', {
    hint: 'have openssh-sftp-server installed on it, or copy through a shell with `scp -O`',
  })
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    // Not there, or not for us: the next place is as good.
    return false
  }
}
