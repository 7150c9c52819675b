import type {Duplex} from 'node:stream'
import {gatherIdentification} from './identification.js'

export interface IncomingHandlers {
  /** Parses one step of `chunk` from `from`; returns where to go on, Infinity when all is consumed. */
  parse(chunk: Buffer, from: number): number
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
  {parse, onBroken}: IncomingHandlers,
): Incoming {
  const gather = gatherIdentification(peer)
  const chunks: Buffer[] = []
  let identified = false
  let holds = 0
  let stopped = false
  let parsing = false

  const parseOne = (chunk: Buffer): void => {
    let at = 0
    while (at < chunk.length && holds === 0 && !stopped) at = parse(chunk, at)
    if (at < chunk.length) chunks.unshift(chunk.subarray(at))
  }
  const parseAll = (): void => {
    // A parser may cause a chunk to arrive before it has returned, when both ends are in one process.
    if (parsing) return
    parsing = true
    try {
      while (chunks.length > 0 && holds === 0 && !stopped) parseOne(chunks.shift() as Buffer)
    } catch (error) {
      stop()
      onBroken(error)
    }
    parsing = false
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
