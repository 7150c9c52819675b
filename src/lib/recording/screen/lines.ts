/** A line as it stood on the screen, and when: milliseconds since the start of the session. */
export interface ScreenLine {
  ms: number
  text: string
}

/** Rows of the screen as they were seen; hands on what each held, once it has changed. */
export interface ScreenLines {
  /** The row has this text at this time. Rows are known by any number that stays theirs. */
  seen(row: number, text: string, ms: number): void
  /** The row will not be seen again. */
  gone(row: number): void
  /** None of the rows will be seen again under its number. */
  allGone(): void
}

/** Lines of which it is remembered that they were handed on already; 52 bits of each. */
const REMEMBERED = 500_000

/**
 * A line that only grew (a command being typed) counts once, when it was complete. The same line is handed on the
 * first time alone: screens that are drawn again and again say nothing new.
 */
export function createScreenLines(emit: (line: ScreenLine) => void): ScreenLines {
  const rows = new Map<number, ScreenLine>()
  const known = new Set<number>()

  const handOn = (line: ScreenLine | undefined): void => {
    if (!line || line.text === '') return
    const id = hash(line.text)
    if (known.has(id)) return
    if (known.size >= REMEMBERED) known.clear()
    known.add(id)
    emit(line)
  }

  return {
    seen(row, text, ms) {
      const before = rows.get(row)
      if (before?.text === text) return
      if (before && !text.startsWith(before.text)) handOn(before)
      rows.set(row, {ms, text})
    },
    gone(row) {
      handOn(rows.get(row))
      rows.delete(row)
    },
    allGone() {
      for (const line of rows.values()) handOn(line)
      rows.clear()
    },
  }
}

/** Two FNV-1a hashes side by side. A collision hides one line of a session. */
function hash(text: string): number {
  let a = 0x811c9dc5
  let b = 0x1b873593
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    a = Math.imul(a ^ code, 0x01000193)
    b = Math.imul(b ^ code, 0x85ebca6b) ^ (b >>> 15)
  }
  return (a >>> 0) * 0x100000 + (b >>> 12)
}
