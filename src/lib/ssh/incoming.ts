import type {Duplex} from 'node:stream'
import {gatherIdentification} from './identification.js'
import {borrow} from './lending.js'

export interface IncomingHandlers {
  /**
   * Parses one step of `chunk` from `from`; returns where to go on, Infinity at the end.
   * @param lent `chunk` is used for something else when this returns
   */
  parse(chunk: Buffer, from: number, lent: boolean): number
  /** The parser keeps what it gets at present. */
  keeps(): boolean
  /** Something in the peer's bytes was wrong; nothing more is parsed. */
  onBroken(error: unknown): void
}

/** What comes from the peer, fed to the parser unless somebody asks it to wait. */
export interface Incoming {
  readonly held: boolean
  /** Takes nothing more from the peer until the returned function is called. */
  hold(): () => void
  stop(): void
}

/** Reads `stream`. Of a chunk that the parser has seen only a part of, the rest is kept until the last hold is let go. */
export function readIncoming(
  stream: Duplex,
  peer: 'client' | 'server',
  {parse, keeps, onBroken}: IncomingHandlers,
): Incoming {
  const gather = gatherIdentification(peer)
  const chunks: Buffer[] = []
  let identified = false
  let holds = 0
  let stopped = false
  let parsing = false

  /** Returns what has to wait of it. */
  const parseOne = (chunk: Buffer, lent: boolean): Buffer | undefined => {
    let at = 0
    while (at < chunk.length && holds === 0 && !stopped && !(lent && keeps())) at = parse(chunk, at, lent)
    return at < chunk.length ? chunk.subarray(at) : undefined
  }
  const parseAll = (lent?: Buffer): void => {
    // A parser may cause a chunk to arrive before it has returned, when both ends are in one process.
    if (parsing) return
    parsing = true
    try {
      const unread = lent && parseOne(lent, true)
      if (unread) chunks.push(Buffer.from(unread))
      while (chunks.length > 0 && holds === 0 && !stopped) {
        const rest = parseOne(chunks.shift() as Buffer, false)
        if (rest) chunks.unshift(rest)
      }
    } catch (error) {
      stop()
      onBroken(error)
    }
    parsing = false
  }
  const receiveLent = (chunk: Buffer): void => {
    if (stopped) return
    const next = identified && !parsing && chunks.length === 0 && holds === 0
    if (next) parseAll(chunk)
    else receive(Buffer.from(chunk))
  }
  const receive = (chunk: Buffer): void => {
    try {
      const bytes = identified ? chunk : gather(chunk)
      if (!bytes) return
      identified = true
      chunks.push(bytes)
    } catch (error) {
      stop()
      onBroken(error)
    }
    parseAll()
  }
  const stop = (): void => {
    stopped = true
    stream.off('data', receive)
  }

  stream.on('data', receive)
  borrow(stream, receiveLent)
  return {
    get held() {
      return holds > 0
    },
    hold() {
      let mine = true
      holds++
      stream.pause()
      return () => {
        if (!mine) return
        mine = false
        holds--
        parseAll()
        if (holds === 0 && !stopped) stream.resume()
      }
    },
    stop,
  }
}
