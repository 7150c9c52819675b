import {problem} from '../errors/index.js'

/** A client's line is at most 255 bytes (RFC 4253 §4.2); servers may greet first, so they get more. */
const limits = {server: 255, client: 64 * 1024}

/**
 * Gathers what a peer sends before its `SSH-2.0-…` line is complete. ssh2 loses bytes when that line arrives in more
 * than two pieces, and a hostile peer may send one byte at a time, so it is fed only with the whole of it.
 * Returns a function that answers the gathered bytes once, and undefined until then.
 * @throws protocol_error when the peer talks too long without identifying itself
 */
export function gatherIdentification(role: 'client' | 'server'): (chunk: Buffer) => Buffer | undefined {
  let gathered: Buffer = Buffer.alloc(0)
  return chunk => {
    gathered = gathered.length === 0 ? chunk : Buffer.concat([gathered, chunk])
    if (holdsIdentification(gathered)) return gathered
    if (gathered.length > limits[role]) {
      throw problem('protocol_error', 'the peer does not speak SSH: it sent no identification')
    }
    return undefined
  }
}

function holdsIdentification(bytes: Buffer): boolean {
  for (let start = 0; ; ) {
    const end = bytes.indexOf(0x0a, start)
    if (end < 0) return false
    if (bytes.subarray(start, start + 4).equals(Buffer.from('SSH-'))) return true
    start = end + 1
  }
}
