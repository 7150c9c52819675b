import fc from 'fast-check'
import {describe, expect, it} from 'vitest'
import {readHostKey} from '../../../src/lib/ssh/seen-host-key.js'
import {WireWriter} from '../../../src/lib/sshcert/index.js'

const banner = Buffer.from('SSH-2.0-OpenSSH_9.2 it speaks\r\n')
/** RFC 4253 §6, without a MAC. */
const packet = (payload: Buffer): Buffer => {
  const padding = 8
  return new WireWriter()
    .u32(payload.length + padding + 1)
    .u8(padding)
    .raw(payload)
    .raw(Buffer.alloc(padding))
    .finish()
}
const message = (type: number, ...fields: string[]): Buffer =>
  packet(fields.reduce((writer, field) => writer.string(field), new WireWriter().u8(type)).finish())
const kexInit = packet(Buffer.concat([Buffer.from([20]), Buffer.alloc(100)]))

const read = (...chunks: Buffer[]) => {
  const keys: string[] = []
  const reader = readHostKey(blob => keys.push(blob.toString()))
  return {keys, answers: chunks.map(chunk => reader.read(chunk))}
}

describe('what a server says before it is believed', () => {
  it('is its name, its key exchange and its key, in pieces of any size', () => {
    const all = Buffer.concat([banner, kexInit, message(2, 'noise'), message(31, 'key', 'f', 'signature')])
    fc.assert(
      fc.property(fc.array(fc.nat(all.length)), cuts => {
        const places = [0, ...cuts.sort((a, b) => a - b), all.length]
        const pieces = places.slice(1).map((end, index) => all.subarray(places[index], end))
        const {keys, answers} = read(...pieces)
        expect(keys).toEqual(['key'])
        expect(answers.at(-1)).toBe(true)
      }),
    )
  })

  it('may be a group first, and then the key', () => {
    expect(
      read(banner, message(31, 'prime', 'generator'), message(33, 'key', 'f', 'signature')).keys,
    ).toEqual(['key'])
  })

  it('is not looked at any more once the key was accepted', () => {
    expect(read(banner, message(31, 'key', 'f', 's'), Buffer.from('anything at all')).answers.at(-1)).toBe(
      true,
    )
  })

  it.each<[string, Buffer[]]>([
    ['no SSH', [Buffer.from('HTTP/1.1 400 Bad Request\r\n')]],
    ['SSH 1', [Buffer.from('SSH-1.5-x\r\n')]],
    ['a name without end', [Buffer.from(`SSH-2.0-${'x'.repeat(300)}`)]],
    ['new keys without a host key', [banner, kexInit, message(21)]],
    ['new keys after a group', [banner, message(31, 'prime', 'generator'), message(21)]],
    ['a service before the key', [banner, message(6, 'ssh-userauth')]],
    ['a reply of nothing', [banner, message(31)]],
    ['a reply cut short', [banner, packet(Buffer.from([31, 0, 0, 0, 9, 1]))]],
    ['a packet of nothing', [banner, Buffer.from([0, 0, 0, 0, 0])]],
    ['a packet of padding alone', [banner, Buffer.from([0, 0, 0, 9, 8])]],
    ['a packet too long', [banner, Buffer.from([0, 1, 0, 0, 4])]],
    ['noise without end', [banner, ...Array<Buffer>(6).fill(message(2, 'x'.repeat(30_000)))]],
  ])('is not %s', (_, chunks) => {
    expect(() => read(...chunks)).toThrow(expect.objectContaining({code: 'protocol_error'}))
  })

  it('is refused, and nothing else, whatever the bytes are', () => {
    fc.assert(
      fc.property(fc.uint8Array({maxLength: 400}), fc.boolean(), (bytes, named) => {
        const reader = readHostKey(() => undefined)
        try {
          if (named) reader.read(banner)
          reader.read(Buffer.from(bytes))
        } catch (error) {
          expect(error).toMatchObject({code: 'protocol_error'})
        }
      }),
    )
  })
})
