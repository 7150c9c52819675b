import type {ServerResponse} from 'node:http'
import type {Socket} from 'node:net'

/** How long a client may take to read why it was refused, before its end of the connection is cut too. */
const lingerMs = 1000

/**
 * Answers a client whose bytes are not HTTP, or too slow or too many to be read, and hangs up. Trouble below HTTP
 * (a TLS handshake that fails or never comes, a reset) leaves nobody to answer.
 */
export function answerMalformed(error: Error & {code?: string}, socket: Socket): void {
  const code = error.code ?? ''
  if (!socket.writable || !/^(HPE_|ERR_HTTP_)/.test(code)) {
    socket.destroy()
    return
  }
  socket.end(
    `HTTP/1.1 ${statuses[code] ?? '400 Bad Request'}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`,
  )
  const cut = setTimeout(() => socket.destroy(), lingerMs)
  socket.once('close', () => clearTimeout(cut))
}

const statuses: Record<string, string> = {
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
}

/** Answers a path that no router can read, such as `/%zz`: before any route, so with its own few headers. */
export function answerUnroutable(_error: Error, _request: unknown, reply: {raw: ServerResponse}): void {
  reply.raw.writeHead(400, {
    'content-type': 'text/plain; charset=utf-8',
    'cache-control': 'no-store',
    'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
    'x-content-type-options': 'nosniff',
    connection: 'close',
  })
  reply.raw.end('The address is not a valid URL; check the link.\n')
}
