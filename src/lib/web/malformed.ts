import type {ServerResponse} from 'node:http'
import type {Socket} from 'node:net'

/** Answers a client whose bytes are not HTTP, or too slow or too many to be read, and hangs up. */
export function answerMalformed(error: Error & {code?: string}, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  const status = statuses[error.code ?? ''] ?? '400 Bad Request'
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
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
