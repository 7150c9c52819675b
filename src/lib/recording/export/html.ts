import {createHash} from 'node:crypto'
import {eventLine} from '../format/asciicast.js'
import type {Cast} from '../read/reader.js'
import {createSanitizer} from '../read/sanitize.js'
import type {PlayerAssets} from './player-assets.js'

export interface HtmlExportOptions {
  assets: PlayerAssets
  /** Names and values above the player. */
  facts: readonly (readonly [name: string, value: string])[]
  /** A remark above the player: that the recording is not complete. */
  remark?: string | undefined
  /** A remark below it, known once the recording was read. */
  ending?: () => string | undefined
}

/**
 * One HTML file with the session and a player for it, which asks no network for anything: its policy lets it load
 * nothing and run these very scripts alone. Of the output only what draws on the screen is in it.
 */
export async function* htmlPage(
  cast: Cast,
  {assets, facts, remark, ending}: HtmlExportOptions,
): AsyncGenerator<string> {
  const title = escapeHtml(cast.header.title ?? 'Recorded session')
  const styles = [assets.style, pageStyle]
  yield `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy([assets.script, startScript], styles)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>${title}</title>
${styles.map(style => `<style>${style}</style>`).join('\n')}
</head>
<body>
<main>
<h1>${title}</h1>
<dl>${facts.map(([name, value]) => `<div><dt>${escapeHtml(name)}</dt><dd>${escapeHtml(value)}</dd></div>`).join('')}</dl>
${note(remark)}<div id="player"></div>
<noscript><p role="note">The player needs JavaScript.</p></noscript>
<script type="application/x-asciicast" id="cast">
`
  for await (const line of safeCast(cast)) yield asData(line)
  yield `</script>
${note(ending?.())}</main>
<script>${assets.script}</script>
<script>${startScript}</script>
</body>
</html>
`
}

const note = (remark: string | undefined): string =>
  remark === undefined ? '' : `<p role="note">${escapeHtml(remark)}</p>\n`

/** asciicast v2 of what may be shown: no exact bytes, nothing that reaches outside of the screen. */
async function* safeCast({header, events}: Cast): AsyncGenerator<string> {
  const {columns: width, rows: height} = showable(header.width, header.height)
  yield `${JSON.stringify({version: 2, width, height})}\n`
  const sanitizer = createSanitizer()
  for await (const event of events) {
    if (event.kind === 'resize') {
      const {columns, rows} = showable(event.columns, event.rows)
      yield eventLine(event.timeMs, 'r', `${columns}x${rows}`)
    } else if (event.kind === 'marker') yield eventLine(event.timeMs, 'm', event.label)
    else yield eventLine(event.timeMs, 'o', sanitizer.push(event.text))
  }
}

/** A hundred million cells, which a recording may claim to have had, would only stall the browser. */
const showable = (columns: number, rows: number): {columns: number; rows: number} => ({
  columns: Math.min(columns, 1000),
  rows: Math.min(rows, 400),
})

/** JSON in which no tag can begin: `<` stands in strings alone, and JSON has another way to write it. */
const asData = (json: string): string => json.replaceAll('<', '\\u003c')

const entities: Record<string, string> = {'&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;'}

/** Text between tags; control characters, which HTML does not allow and which turn text around, become U+FFFD. */
const escapeHtml = (text: string): string =>
  text
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    .replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g, '\ufffd')
    .replace(/[&<>"']/g, found => entities[found] ?? '')

const hashes = (texts: readonly string[]): string =>
  texts.map(text => `'sha256-${createHash('sha256').update(text).digest('base64')}'`).join(' ')

// The player is WebAssembly, compiled from bytes in its script; it styles what it draws through the DOM alone.
const policy = (scripts: readonly string[], styles: readonly string[]): string =>
  [
    "default-src 'none'",
    `script-src ${hashes(scripts)} 'wasm-unsafe-eval'`,
    `style-src ${hashes(styles)}`,
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; ')

const startScript = `AsciinemaPlayer.create(
  {data: document.getElementById('cast').textContent.trim()},
  document.getElementById('player'),
  {fit: 'width', controls: true, preload: true, poster: 'npt:0:01'},
)
`

const pageStyle = `
body { margin: 0; background: #fff; color: #1c1c1c; font: 1rem/1.5 system-ui, sans-serif; }
main { max-width: 76rem; margin: 0 auto; padding: 1.5rem; }
h1 { font-size: 1.25rem; overflow-wrap: anywhere; }
dl { display: flex; flex-wrap: wrap; gap: .5rem 2rem; margin: 0 0 1rem; }
dt { font-size: .8rem; color: #555; }
dd { margin: 0; overflow-wrap: anywhere; }
[role=note] { padding: .5rem .75rem; border-left: 4px solid #b45309; background: #fff7ed; color: #7c2d12; }
@media (prefers-color-scheme: dark) {
  body { background: #111; color: #eee; }
  dt { color: #aaa; }
  [role=note] { background: #2a1a0a; color: #fdba74; }
}
`
