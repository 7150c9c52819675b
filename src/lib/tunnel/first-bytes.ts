import type {Duplex} from 'node:stream'

export type FirstProtocol = 'ssh' | 'tls'

/** ContentType handshake (RFC 8446 §5.1); an SSH identification begins with "SSH-" (RFC 4253 §4.2). */
const tlsHandshake = 0x16
const sshFirst = 'S'.charCodeAt(0)

/**
 * Tells by the first byte what a client speaks, and puts it back. Resolves to undefined for anything else, when the
 * stream ends first, and after `patience` milliseconds of silence.
 */
export function firstProtocol(stream: Duplex, patience: number): Promise<FirstProtocol | undefined> {
  return new Promise(resolve => {
    const done = (protocol: FirstProtocol | undefined): void => {
      clearTimeout(timer)
      stream.off('readable', look).off('close', gone).off('end', gone)
      resolve(protocol)
    }
    const gone = (): void => done(undefined)
    const look = (): void => {
      const bytes: Buffer | null = stream.read()
      if (bytes === null) return
      stream.unshift(bytes)
      done(bytes[0] === sshFirst ? 'ssh' : bytes[0] === tlsHandshake ? 'tls' : undefined)
    }
    const timer = setTimeout(gone, patience)
    stream.on('readable', look).on('close', gone).on('end', gone)
  })
}
