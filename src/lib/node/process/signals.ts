import type {ProcessExit} from './types.js'

/** The signals of RFC 4254 §6.10, which are those that a client may send (§6.9) and be told of. */
const names = [
  'ABRT',
  'ALRM',
  'FPE',
  'HUP',
  'ILL',
  'INT',
  'KILL',
  'PIPE',
  'QUIT',
  'SEGV',
  'TERM',
  'USR1',
  'USR2',
]

export const isSignalName = (name: string): boolean => names.includes(name)

/** What node:child_process says of an end, in the words of RFC 4254 §6.10. */
export function processExit(code: number | null, signal: NodeJS.Signals | null): ProcessExit {
  if (signal === null) return {code: code ?? 255}
  const name = signal.slice('SIG'.length)
  // Whether there was a core dump is in wait(2)'s status alone, which Node does not show.
  return {signal: isSignalName(name) ? name : 'SIG@openssh.com', coreDumped: false}
}
