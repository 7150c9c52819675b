import type {IncomingHttpHeaders} from 'node:http'

/**
 * Whether a browser says that this request comes from one of our own pages (Fetch Metadata; else the Origin header).
 * With `Referrer-Policy: no-referrer` a form's Origin is `null`, so Sec-Fetch-Site speaks first where it is sent.
 * Programs send neither header: `fromProgram` says whether they are welcome.
 */
export function isOwnOrigin(
  headers: IncomingHttpHeaders,
  {publicHost, fromProgram}: {publicHost?: string | undefined; fromProgram: boolean},
): boolean {
  const site = headers['sec-fetch-site']
  if (site !== undefined) return site === 'same-origin' || site === 'none'
  const {origin} = headers
  if (origin === undefined) return fromProgram
  const host = hostOf(origin)
  return host !== undefined && (host === headers.host?.toLowerCase() || host === publicHost)
}

/** `host[:port]` of an https origin, the default port left out. */
export function hostOf(url: string): string | undefined {
  return URL.canParse(url) && url.startsWith('https://') ? new URL(url).host : undefined
}
