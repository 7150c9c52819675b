import fc from 'fast-check'
import {describe, expect, it} from 'vitest'
import {
  agentMessage,
  createUnframer,
  encodeAdd,
  encodeIdentities,
  encodeSign,
  frame,
  maxIdentities,
  maxMessageBytes,
  parseIdentities,
  parseRequest,
  parseSignature,
  parseSuccess,
} from '../../../src/lib/agent/codec.js'
import {SallyportError} from '../../../src/lib/errors/index.js'
import {WireWriter} from '../../../src/lib/sshcert/index.js'

const bytes = (options: fc.IntArrayConstraints = {}) =>
  fc.uint8Array(options).map(array => Buffer.from(array))
const codeOf = (work: () => unknown): string => {
  try {
    work()
  } catch (error) {
    if (error instanceof SallyportError) return error.code
    throw error
  }
  return 'no error'
}
const lengthWord = (length: number): Buffer => new WireWriter().u32(length).finish()

describe('framing', () => {
  it('gives the same messages back however the stream is cut', () => {
    fc.assert(
      fc.property(
        fc.array(bytes({minLength: 1, maxLength: 300}), {maxLength: 8}),
        fc.infiniteStream(fc.integer({min: 1, max: 50})),
        (messages, sizes) => {
          const stream = Buffer.concat(messages.map(frame))
          const unframe = createUnframer()
          const received: Buffer[] = []
          for (let at = 0; at < stream.length; ) {
            const size = sizes.next().value
            received.push(...unframe(stream.subarray(at, at + size)).map(body => Buffer.from(body)))
            at += size
          }
          expect(received).toEqual(messages)
        },
      ),
    )
  })

  it.each([0, maxMessageBytes + 1, 2 ** 32 - 1])(
    'refuses a message of %i bytes by its length word alone',
    length => {
      expect(codeOf(() => createUnframer()(lengthWord(length)))).toBe('protocol_error')
    },
  )

  it('takes a message of exactly the limit and sends none above it', () => {
    const largest = Buffer.alloc(maxMessageBytes, 7)
    expect(createUnframer()(frame(largest))).toEqual([largest])
    expect(codeOf(() => frame(Buffer.alloc(maxMessageBytes + 1)))).toBe('limit_exceeded')
  })
})

describe('replies', () => {
  it('lists back the identities that were encoded', () => {
    const identity = fc.record({blob: bytes({maxLength: 100}), comment: fc.string({unit: 'grapheme'})})
    fc.assert(
      fc.property(fc.array(identity, {maxLength: 20}), identities => {
        expect(parseIdentities(encodeIdentities(identities))).toEqual(identities)
      }),
    )
  })

  it('throws only its own errors on arbitrary bytes', () => {
    const parsers = [parseIdentities, parseSignature, parseRequest, (body: Buffer) => parseSuccess(body, 'x')]
    const hostile = fc
      .tuple(fc.constantFrom(5, 6, 11, 12, 13, 14), bytes({maxLength: 200}))
      .map(([type, rest]) => Buffer.concat([Buffer.of(type), rest]))
    fc.assert(
      fc.property(fc.oneof(bytes({maxLength: 200}), hostile), body => {
        for (const parse of parsers) codeOf(() => parse(body))
      }),
      {numRuns: 2000},
    )
  })

  it('refuses an offer of more than a thousand keys before reading any', () => {
    const claim = new WireWriter()
      .u8(agentMessage.identitiesAnswer)
      .u32(maxIdentities + 1)
      .finish()
    expect(codeOf(() => parseIdentities(claim))).toBe('limit_exceeded')
  })

  it('refuses the wrong type of answer, trailing bytes, and tells refusal apart', () => {
    expect(codeOf(() => parseIdentities(Buffer.of(agentMessage.success)))).toBe('protocol_error')
    expect(codeOf(() => parseSuccess(Buffer.of(agentMessage.success, 0), 'x'))).toBe('protocol_error')
    expect(() => parseSuccess(Buffer.of(agentMessage.failure), 'hold this key')).toThrow(
      'the ssh-agent refused to hold this key',
    )
  })

  it('keeps the keys of an agent whose comments are not UTF-8', () => {
    const body = new WireWriter().u8(12).u32(1).string('blob').string(Buffer.of(0xff, 0xfe)).finish()
    expect(parseIdentities(body)).toEqual([{blob: Buffer.from('blob'), comment: '\ufffd\ufffd'}])
  })
})

describe('requests', () => {
  it('reads back a sign request and recognises nothing else but list', () => {
    fc.assert(
      fc.property(bytes(), bytes(), fc.nat(), (blob, data, flags) => {
        expect(parseRequest(encodeSign(blob, data, flags))).toEqual({kind: 'sign', blob, data, flags})
      }),
    )
    for (let number = 0; number < 256; number++) {
      if (number === 11 || number === 13) continue
      expect(parseRequest(Buffer.of(number))).toEqual({kind: 'other', number})
    }
    expect(codeOf(() => parseRequest(Buffer.of(11, 0)))).toBe('protocol_error')
  })

  it.each([0, -1, 1.5, Number.NaN, 2 ** 32])('refuses a lifetime of %d seconds', lifetime => {
    expect(codeOf(() => encodeAdd(Buffer.alloc(0), 'c', lifetime))).toBe('invalid_input')
  })
})
