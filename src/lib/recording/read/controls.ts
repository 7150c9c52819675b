/** What a person tells the player. */
export type Control =
  | {do: 'pause'}
  | {do: 'quit'}
  | {do: 'seek'; byMs: number}
  /** A tenth of the recording, 0–9. */
  | {do: 'jump'; tenth: number}
  | {do: 'speed'; factor: number}

const ESC = '\u001b'
const STEP_MS = 5000

const keys: [string, Control][] = [
  [`${ESC}[C`, {do: 'seek', byMs: STEP_MS}],
  [`${ESC}OC`, {do: 'seek', byMs: STEP_MS}],
  [`${ESC}[D`, {do: 'seek', byMs: -STEP_MS}],
  [`${ESC}OD`, {do: 'seek', byMs: -STEP_MS}],
  [' ', {do: 'pause'}],
  ['q', {do: 'quit'}],
  ['\u0003', {do: 'quit'}],
  ['\u0004', {do: 'quit'}],
  ['+', {do: 'speed', factor: 2}],
  ['=', {do: 'speed', factor: 2}],
  ['-', {do: 'speed', factor: 0.5}],
]

/**
 * Keys as controls. Anything else is passed over, other escape sequences as a whole. Terminals send a key in one
 * piece; a sequence cut in two is two unknown keys.
 */
export function parseKeys(input: string): Control[] {
  const controls: Control[] = []
  for (let rest = input; rest !== ''; ) {
    const key = keys.find(([text]) => rest.startsWith(text))
    if (key) controls.push(key[1])
    else if (/^\d/.test(rest)) controls.push({do: 'jump', tenth: Number(rest.charAt(0))})
    rest = rest.slice(key?.[0].length ?? unknownKeyLength(rest))
  }
  return controls
}

const sequence = new RegExp(`^${ESC}(\\[[0-9;?<>=]*[@-~]?|O.?|.?)`, 'su')

const unknownKeyLength = (text: string): number => sequence.exec(text)?.[0].length ?? 1
