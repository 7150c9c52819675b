// Bidirectional controls reorder what a person reads; they are as unwelcome as escape sequences.
const unsafe = /[\p{Cc}\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu

const escapeOne = (character: string): string => {
  const code = character.charCodeAt(0)
  return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16)}`
}

/**
 * Text from outside (a host name, a banner, a command) made safe for one line on a terminal: control characters,
 * line breaks included, become visible `\x1b` escapes.
 */
export const safe = (text: string): string => text.replace(unsafe, escapeOne)

const allowed = new RegExp(`\n|\t|${'\u001b'}\\[[0-9;]*m`, 'g')

/**
 * The last net before a terminal: keeps line breaks, tabs and, where `colour`, colour sequences; everything else that
 * moves a cursor or talks to the terminal is escaped.
 */
export function safeLines(text: string, colour: boolean): string {
  let result = ''
  let from = 0
  for (const match of text.matchAll(allowed)) {
    result += safe(text.slice(from, match.index))
    if (colour || match[0].length === 1) result += match[0]
    from = match.index + match[0].length
  }
  return result + safe(text.slice(from))
}

/** A time for people, under a heading that says UTC: `2025-11-21 14:30:00`. From Unix ms or ISO 8601. */
export const utcTime = (time: number | string): string =>
  new Date(time).toISOString().slice(0, 19).replace('T', ' ')

// East Asian wide and emoji blocks: two cells. A table that is a cell off is a blemish, so blocks will do.
const wide =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u
const zero = /\p{Mn}|\p{Me}|\p{Cf}/u

/** Terminal cells that plain text (no escapes) takes. */
export function displayWidth(text: string): number {
  let cells = 0
  for (const character of text) cells += wide.test(character) ? 2 : zero.test(character) ? 0 : 1
  return cells
}

/** Cuts to at most `cells` cells, the last of them `…` when something was cut. */
export function truncate(text: string, cells: number): string {
  if (displayWidth(text) <= cells) return text
  let result = ''
  let used = 0
  for (const character of text) {
    const width = displayWidth(character)
    if (used + width > cells - 1) break
    result += character
    used += width
  }
  return `${result}…`
}
