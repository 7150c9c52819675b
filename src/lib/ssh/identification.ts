import {problem} from '../errors/index.js'

/** RFC 4253 §4.2: 255 bytes with the line break; clients send nothing before it. */
const maxClientBytes = 255
/** Servers may greet first (RFC 4253 §4.2); OpenSSH gives up after as much. */
const maxServerBytes = 64 * 1024
const maxLineBytes = 8 * 1024

/**
 * Gathers what a peer sends until its `SSH-2.0-…` line is complete. ssh2 loses bytes when that line arrives in more
 * than two pieces, and a hostile peer may send one byte at a time, so it is fed only with the whole of it.
 * Returns a function that answers that line and what follows it once, and undefined until then; a server's greeting
 * is dropped.
 * @throws protocol_error when the peer talks too long without identifying itself
 */
export function gatherIdentification(peer: 'client' | 'server'): (chunk: Buffer) => Buffer | undefined {
  const maxBytes = peer === 'client' ? maxClientBytes : maxServerBytes
  let line: Buffer = Buffer.alloc(0)
  let seen = 0
  return chunk => {
    let rest = chunk
    for (let end = rest.indexOf(0x0a); end >= 0; end = rest.indexOf(0x0a)) {
      const whole = join(line, rest)
      if (whole.subarray(0, 4).toString('latin1') === 'SSH-') return whole
      if (peer === 'client') throw notSsh()
      line = Buffer.alloc(0)
      seen += end + 1
      if (seen > maxBytes) throw notSsh()
      rest = rest.subarray(end + 1)
    }
    seen += rest.length
    line = join(line, rest)
    if (seen > maxBytes || line.length > maxLineBytes) throw notSsh()
    return undefined
  }
}

const join = (a: Buffer, b: Buffer): Buffer => (a.length === 0 ? b : Buffer.concat([a, b]))

const notSsh = () => problem('protocol_error', 'the peer does not speak SSH: it sent no identification')
