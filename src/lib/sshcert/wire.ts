import {isUtf8} from 'node:buffer'
import {problem} from '../errors/index.js'

/** Builds SSH wire data (RFC 4251 §5). Methods chain; `finish` joins the parts. */
export class WireWriter {
  readonly #parts: Buffer[] = []

  u8(value: number): this {
    return this.raw(Buffer.from([value]))
  }

  u32(value: number): this {
    const part = Buffer.allocUnsafe(4)
    part.writeUInt32BE(value)
    return this.raw(part)
  }

  u64(value: bigint): this {
    const part = Buffer.allocUnsafe(8)
    part.writeBigUInt64BE(value)
    return this.raw(part)
  }

  bool(value: boolean): this {
    return this.u8(value ? 1 : 0)
  }

  string(value: Buffer | string): this {
    const bytes = typeof value === 'string' ? Buffer.from(value, 'utf8') : value
    return this.u32(bytes.length).raw(bytes)
  }

  /** An unsigned big-endian magnitude as mpint: shortest form, never negative. */
  mpint(magnitude: Buffer): this {
    let start = 0
    while (start < magnitude.length && magnitude[start] === 0) start++
    const digits = magnitude.subarray(start)
    const negative = digits.length > 0 && ((digits[0] ?? 0) & 0x80) !== 0
    return this.string(negative ? Buffer.concat([Buffer.of(0), digits]) : digits)
  }

  raw(bytes: Buffer): this {
    this.#parts.push(bytes)
    return this
  }

  finish(): Buffer {
    return Buffer.concat(this.#parts)
  }
}

/** Reads SSH wire data without copying; every overrun is a `protocol_error`. */
export class WireReader {
  #offset = 0

  constructor(private readonly bytes: Buffer) {}

  get offset(): number {
    return this.#offset
  }

  remaining(): number {
    return this.bytes.length - this.#offset
  }

  u8(): number {
    return this.bytes.readUInt8(this.#take(1))
  }

  bool(): boolean {
    return this.u8() !== 0
  }

  u32(): number {
    return this.bytes.readUInt32BE(this.#take(4))
  }

  u64(): bigint {
    return this.bytes.readBigUInt64BE(this.#take(8))
  }

  /** A view into the input: copy it to keep it. */
  string(): Buffer {
    const length = this.u32()
    const start = this.#take(length)
    return this.bytes.subarray(start, start + length)
  }

  /** A string that must be UTF-8: two different byte strings may never compare equal. */
  text(): string {
    const bytes = this.string()
    if (!isUtf8(bytes)) throw problem('protocol_error', 'SSH data holds text that is not UTF-8')
    return bytes.toString('utf8')
  }

  /** The magnitude of a non-negative mpint in its shortest form. */
  mpint(): Buffer {
    const bytes = this.string()
    const first = bytes[0] ?? 0
    if ((first & 0x80) !== 0) throw problem('protocol_error', 'SSH data holds a negative number')
    if (bytes.length > 0 && first === 0) {
      if (((bytes[1] ?? 0) & 0x80) === 0) throw problem('protocol_error', 'SSH data holds a padded number')
      return bytes.subarray(1)
    }
    return bytes
  }

  rest(): Buffer {
    return this.bytes.subarray(this.#take(this.remaining()))
  }

  end(): void {
    if (this.remaining() > 0) throw problem('protocol_error', 'SSH data has trailing bytes')
  }

  #take(length: number): number {
    if (length > this.remaining()) throw problem('protocol_error', 'SSH data is cut short')
    const start = this.#offset
    this.#offset += length
    return start
  }
}
