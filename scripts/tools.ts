import {spawnSync} from 'node:child_process'
import {accessSync, constants, existsSync} from 'node:fs'

/** Programs that the tests argue with, and the Debian package each comes in. */
const tools: readonly {command: string; package: string}[] = [
  {command: 'sshd', package: 'openssh-server'},
  {command: 'ssh', package: 'openssh-client'},
  {command: 'curl', package: 'curl'},
  {command: 'asciinema', package: 'asciinema'},
  {command: 'tmux', package: 'tmux'},
  {command: 'chromium', package: 'chromium'},
  {command: 'ps', package: 'procps'},
  {command: 'script', package: 'bsdutils'},
  {command: 'sqlite3', package: 'sqlite3'},
  {command: 'ip', package: 'iproute2'},
]

const places = ['/usr/sbin', '/usr/local/sbin', ...(process.env.PATH ?? '').split(':')]

function present(command: string): boolean {
  return places.some(directory => {
    try {
      accessSync(`${directory}/${command}`, constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

/** Debian packages of the tools that are not here. */
export const missingPackages = (has: (command: string) => boolean = present): string[] =>
  tools.filter(tool => !has(tool.command)).map(tool => tool.package)

/** Installs what is missing where that is possible (root on Debian). Returns an error for people, or undefined. */
export function ensureTools(): string | undefined {
  const missing = missingPackages()
  if (missing.length === 0) return undefined
  if (process.getuid?.() === 0 && existsSync('/etc/debian_version') && present('apt-get')) install(missing)
  const rest = missingPackages()
  return rest.length === 0
    ? undefined
    : `the tests need programs that are not installed; run: sudo apt-get install ${rest.join(' ')} (or your system's packages of the same programs)`
}

function install(packages: readonly string[]): void {
  const env = {...process.env, DEBIAN_FRONTEND: 'noninteractive'}
  const options = {stdio: ['ignore', 'inherit', 'inherit'] as ('ignore' | 'inherit')[], env}
  spawnSync('apt-get', ['update', '-q'], options)
  spawnSync('apt-get', ['install', '-q', '-y', '--no-install-recommends', ...packages], options)
}
