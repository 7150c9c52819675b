/**
 * Flags of `sallyport ssh` that take a value. The argument line is split before the command is loaded, so they are
 * listed here; a test compares the list with the command.
 */
export const sshValueFlags: ReadonlySet<string> = new Set([
  '-D',
  '-L',
  '-R',
  '-i',
  '-l',
  '-p',
  '--cluster',
  '--dynamic-forward',
  '--identity',
  '--local-forward',
  '--login',
  '--port',
  '--proxy',
  '--remote-forward',
  '--user',
])

/**
 * Splits `ssh`'s arguments as OpenSSH does: options before or after the target are ours, the first other word after
 * it (or whatever follows `--`) begins the remote command, whose words are never looked at.
 */
export function splitRemote(
  argv: readonly string[],
  valueFlags: ReadonlySet<string> = sshValueFlags,
): {own: string[]; remote: string[]} {
  let target = false
  let i = 0
  for (; i < argv.length; i += 1) {
    const word = argv[i] ?? ''
    if (word === '--') return {own: argv.slice(0, i), remote: argv.slice(i + 1)}
    if (word.startsWith('-') && word !== '-') {
      if (takesNext(word, valueFlags) && argv[i + 1] !== '--') i += 1
    } else if (target) break
    else target = true
  }
  return {own: argv.slice(0, i), remote: argv.slice(i)}
}

/** Whether the flag's value is the next word: `--port 22`, `-p 22`, `-Ap 22`, but not `--port=22`, `-p22`. */
function takesNext(word: string, valueFlags: ReadonlySet<string>): boolean {
  if (word.startsWith('--')) return valueFlags.has(word)
  const letters = [...word.slice(1)]
  const first = letters.findIndex(letter => valueFlags.has(`-${letter}`))
  return first !== -1 && first === letters.length - 1
}

/**
 * The argument line as oclif may see it: what belongs to the remote command stands behind `--`, so that its `--help`
 * and its flags stay its own.
 */
export function prepareArgv(argv: readonly string[]): string[] {
  if (argv[0] !== 'ssh') return [...argv]
  const {own, remote} = splitRemote(argv.slice(1))
  return remote.length === 0 ? ['ssh', ...own] : ['ssh', ...own, '--', ...remote]
}

/**
 * The two halves of a prepared line, for the command: parse `own`, send `remote` as it is. (oclif's own `argv` output
 * puts repeated words in another order.)
 */
export function atDashes(argv: readonly string[]): {own: string[]; remote: string[]} {
  const at = argv.indexOf('--')
  return at === -1 ? {own: [...argv], remote: []} : {own: argv.slice(0, at), remote: argv.slice(at + 1)}
}
