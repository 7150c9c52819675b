import type {Socket} from 'node:net'
import {problem} from '../../errors/index.js'
import type {Address} from '../../names/index.js'

/** SOCKS 5 without authentication, CONNECT only (RFC 1928): the listener is bound to loopback unless told otherwise. */
const version = 5
const maxRequestBytes = 512
const replies = {succeeded: 0, refused: 5} as const

export const socksReply = (reply: keyof typeof replies): Buffer =>
  Buffer.from([version, replies[reply], 0, 1, 0, 0, 0, 0, 0, 0])

/** Reads greeting and request; resolves to where the client wants to go. @throws protocol_error */
export function readSocksRequest(socket: Socket): Promise<Address> {
  return new Promise((resolve, reject) => {
    let bytes: Buffer = Buffer.alloc(0)
    let greeted = false
    const finish = (): void => {
      socket.off('data', receive)
      socket.off('end', early)
      socket.pause()
    }
    const fail = (why: string): void => {
      finish()
      reject(problem('protocol_error', `a SOCKS client was not understood: ${why}`))
    }
    const early = (): void => fail('it hung up')
    const receive = (chunk: Buffer): void => {
      bytes = Buffer.concat([bytes, chunk])
      if (bytes.length > maxRequestBytes) return fail('its request is too long')
      if (bytes[0] !== version) return fail('only SOCKS 5 is spoken here')
      if (!greeted) {
        const length = 2 + (bytes[1] ?? 0)
        if (bytes.length < 2 || bytes.length < length) return
        greeted = true
        bytes = bytes.subarray(length)
        socket.write(Buffer.from([version, 0]))
      }
      const request = parseRequest(bytes)
      if (request === 'incomplete') return
      if (request === 'invalid') return fail('only CONNECT is served')
      finish()
      socket.unshift(bytes.subarray(request.length))
      resolve({host: request.host, port: request.port})
    }
    socket.on('data', receive)
    socket.once('end', early)
  })
}

type SocksRequest = {host: string; port: number; length: number}

/** Pure: the CONNECT request at the beginning of `bytes` (RFC 1928 §4). */
export function parseRequest(bytes: Buffer): SocksRequest | 'incomplete' | 'invalid' {
  if (bytes.length < 5) return 'incomplete'
  if (bytes[0] !== version || bytes[1] !== 1) return 'invalid'
  const type = bytes[3]
  const addressLength = type === 1 ? 4 : type === 4 ? 16 : type === 3 ? (bytes[4] ?? 0) : 0
  if (addressLength === 0) return 'invalid'
  const start = type === 3 ? 5 : 4
  const length = start + addressLength + 2
  if (bytes.length < length) return 'incomplete'
  const address = bytes.subarray(start, start + addressLength)
  return {host: hostText(type ?? 0, address), port: bytes.readUInt16BE(length - 2), length}
}

function hostText(type: number, address: Buffer): string {
  if (type === 3) return address.toString('latin1')
  if (type === 1) return address.join('.')
  return (address.toString('hex').match(/.{4}/g) ?? []).join(':')
}
