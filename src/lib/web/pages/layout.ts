import {type Html, html, htmlText} from '../html.js'
import {iconAsset, styleAsset} from './assets.js'

/** What a page is made of; the frame around it is always the same. */
export interface Page {
  title: string
  body: Html
  footer?: Html | undefined
}

/** The whole document: strict CSP, so no inline script, style or event handler may ever appear in it. */
export function renderPage({title, body, footer}: Page, clusterName: string): string {
  return htmlText(html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>${title} · ${clusterName}</title>
<link rel="icon" href="${iconAsset.path}" type="image/svg+xml">
<link rel="stylesheet" href="${styleAsset.path}">
</head>
<body>
<header>
${mark}
<a class="brand" href="/">Sallyport</a>
<span class="cluster">${clusterName}</span>
</header>
<main>
${body}
</main>
${footer && html`<footer>${footer}</footer>`}
</body>
</html>
`)
}

const mark = html`<svg viewBox="0 0 28 28" aria-hidden="true" focusable="false"><path d="M3 26V4h5v3.5h4V4h4v3.5h4V4h5v22h-6.5v-5.5a4.5 4.5 0 0 0-9 0V26z" fill="currentColor"/></svg>`
