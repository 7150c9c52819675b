import {type Html, html} from '../html.js'

/** A shell command to copy: one click selects the whole of it, and it wraps between words only. */
export const commandBlock = (words: readonly string[]): Html =>
  html`<pre><code>${words.map((word, index) => html`${index > 0 && ' '}<span>${shellQuote(word)}</span>`)}</code></pre>`

/** `word` as one word for a POSIX shell. */
const shellQuote = (word: string): string =>
  /^[\w@%+=:,./[\]-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`

export const loginCommand = (
  {proxy, insecure}: {proxy: string; insecure: boolean},
  user: string,
): readonly string[] => [
  'sallyport',
  'login',
  `--proxy=${proxy}`,
  `--user=${user}`,
  ...(insecure ? ['--insecure'] : []),
]
