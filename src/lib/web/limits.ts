/** Every bound of the web service. Sizes in bytes, times in milliseconds, rates per minute, endpoint and client address. */
export interface WebLimits {
  /** Largest request body. A login is under 2 kB; an RSA-16384 public key is 3 kB. */
  bodyBytes: number
  /** Request line and all headers together. */
  headerBytes: number
  /** From TCP connect to the end of the TLS handshake. */
  handshakeMs: number
  /** From the first byte (or the handshake) to the end of the headers. */
  headersMs: number
  /** From the first byte to the end of the body: one byte a second does not hold a connection. */
  requestMs: number
  /** A connection on which no byte moves, in a request or in a reply that the client does not read. */
  inactivityMs: number
  /** How long an idle connection waits for its next request. */
  keepAliveMs: number
  /** How long a handler may take: a login may queue for its password hash. */
  handlerMs: number
  /** How often the HTTP parser looks for connections past their time. */
  checkMs: number
  /** Open connections. Beyond this the one idle for longest gives way to the newcomer. */
  connections: number
  /** How long `close` waits for requests in progress before it cuts them. */
  drainMs: number
  /** Attempts to log in: each costs a password hash. */
  loginsPerMinute: number
  /** Looks at and uses of sign-up links: tokens cannot be guessed at this pace, nor an invited user annoyed. */
  tokensPerMinute: number
  /** Everything that asks the auth service but guesses no secret. */
  readsPerMinute: number
}

export const defaultLimits: WebLimits = {
  bodyBytes: 64 * 1024,
  headerBytes: 16 * 1024,
  handshakeMs: 10_000,
  headersMs: 10_000,
  requestMs: 20_000,
  inactivityMs: 30_000,
  keepAliveMs: 15_000,
  handlerMs: 30_000,
  checkMs: 1000,
  connections: 2000,
  drainMs: 5000,
  loginsPerMinute: 30,
  tokensPerMinute: 60,
  readsPerMinute: 300,
}
