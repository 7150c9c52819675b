import {readdirSync, readFileSync} from 'node:fs'

/**
 * Kills whatever still runs in a process session (setsid(2)) whose leader is gone; does nothing on systems without
 * /proc. To be called as soon as the leader is gone: as long as members are left, nobody else gets the number.
 */
export function killSessionMembers(session: number): void {
  if (statOf(String(session))) return
  for (const name of processNames()) {
    const stat = statOf(name)
    if (stat && parseSession(stat) === session) tryKill(Number(name), 'SIGKILL')
  }
}

/** The session in a line of /proc/<pid>/stat (proc(5)). The name before it may hold spaces and parentheses. */
export function parseSession(stat: string): number | undefined {
  const [, , , session] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return session !== undefined && /^\d+$/.test(session) ? Number(session) : undefined
}

/** @param target a process id, or a process group as a negative number */
export function tryKill(target: number, signal: NodeJS.Signals): void {
  try {
    process.kill(target, signal)
  } catch {
    // Gone already, or it has become somebody else's (setuid), whom an unprivileged node may not signal.
  }
}

function processNames(): string[] {
  try {
    return readdirSync('/proc').filter(name => /^\d+$/.test(name))
  } catch {
    // A system without /proc.
    return []
  }
}

function statOf(name: string): string | undefined {
  try {
    return readFileSync(`/proc/${name}/stat`, 'utf8')
  } catch {
    // It has exited since the list was read.
    return undefined
  }
}
