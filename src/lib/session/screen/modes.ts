const ESC = '\u001b'
/** So many sequences are looked at one by one; of more, all that are private modes, and the others near the end. */
const mostLooks = 64
const lastBytes = 1024
/** Longer sequences set nothing that is looked for here. */
const sequenceBytes = 80
/** Far more than programs set; the last ones count. */
const mostBytes = 2048

/** Private modes, attributes, margins, insertion, soft reset, character sets, cursor kept and put back, reset. */
const lasting = new RegExp(
  `^${ESC}(?:\\[\\?[0-9;]{1,64}[hl]|\\[[0-9;:]{0,64}m|\\[[0-9;]{0,16}r|\\[4[hl]|\\[!p|[()][0-9A-Za-z]|[78c])`,
)
/** A sequence, or a character, that goes on behind the end. */
const unfinished = new RegExp(
  [
    `${ESC}(?:\\[[0-?]*[ -/]*|[ -/]*|[\\]PX^_k][^\\x07${ESC}\\x18\\x1a]*)`,
    '[\\xc2-\\xdf]',
    '[\\xe0-\\xef][\\x80-\\xbf]?',
    '[\\xf0-\\xf4][\\x80-\\xbf]{0,2}',
  ]
    .map(form => `(?:${form})$`)
    .join('|'),
)

/**
 * Of output that is passed over, what decides how later output is drawn: modes such as the alternate screen, and what
 * was begun and not finished. Costs little where output is plain text. Bytes in, bytes out; a few kilobytes at most.
 */
export function modesIn(output: Buffer): Buffer {
  const found: string[] = []
  const end = Math.max(0, output.length - lastBytes)
  let looks = 0
  for (let at = output.indexOf(ESC); at !== -1; ) {
    const mode = lasting.exec(output.toString('latin1', at, at + sequenceBytes))
    if (mode) found.push(mode[0])
    looks += 1
    at = looks < mostLooks || at >= end ? output.indexOf(ESC, at + 1) : nextPrivate(output, at + 1, end)
  }
  const open = unfinished.exec(output.toString('latin1', end))?.[0] ?? ''
  return Buffer.from(lastOf(found) + lastShift(output.subarray(end)) + open, 'latin1')
}

/** The next private mode before `end`, or else the next sequence after it. */
function nextPrivate(output: Buffer, from: number, end: number): number {
  const at = output.indexOf(`${ESC}[?`, from)
  return at !== -1 && at < end ? at : output.indexOf(ESC, Math.max(from, end))
}

/** Which of the two character sets is in use. */
function lastShift(output: Buffer): string {
  const [out, back] = [output.lastIndexOf(0x0e), output.lastIndexOf(0x0f)]
  if (out === back) return ''
  return out > back ? '\u000e' : '\u000f'
}

/** The last sequences that fit, whole. */
function lastOf(sequences: readonly string[]): string {
  let kept = ''
  for (const sequence of sequences.toReversed()) {
    if (kept.length + sequence.length > mostBytes) break
    kept = sequence + kept
  }
  return kept
}
