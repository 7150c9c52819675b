/**
 * A signature of a text: a Bloom filter of the runs of one, two and three characters in it, after `fold`.
 * A text that holds a string has all runs of the string in its signature; few other texts have.
 */
export interface SignatureBuilder {
  add(text: string): void
  /** Empty when there is so much text that it would hold nearly everything. */
  finish(): Buffer
}

const BITS_A_GRAM = 8
const PROBES = 3
/** 128 kB of signature; real sessions have a few thousand. */
const MOST_GRAMS = 131_072

/**
 * Text in which all that a regular expression takes for the same letter without regard to case is the same, and a few
 * letters more: ß is ss, ı is i. Of a piece it is a piece of that of the whole.
 */
export const fold = (text: string): string =>
  // To capitals and back brings together µ and μ, ς and σ, ſ and s. Capitals whose small letter has no single capital
  // of its own (ẞ, İ) have to be small letters first. A small sigma depends on its neighbours.
  text.toLowerCase().toUpperCase().toLowerCase().replaceAll('ς', 'σ')

export function createSignature(): SignatureBuilder {
  const grams = new Set<number>()
  return {
    add(text) {
      if (grams.size <= MOST_GRAMS) for (const gram of gramsOf(fold(text))) grams.add(gram)
    },
    finish() {
      if (grams.size > MOST_GRAMS) return Buffer.alloc(0)
      const signature = Buffer.alloc(Math.max(1, Math.ceil((grams.size * BITS_A_GRAM) / 8)))
      for (const gram of grams)
        for (let probe = 0; probe < PROBES; probe++) {
          const bit = bitOf(gram, probe, signature)
          signature[bit >>> 3] = (signature[bit >>> 3] ?? 0) | (1 << (bit & 7))
        }
      return signature
    },
  }
}

/** Decides whether a text may hold all of `pieces`, from its signature. */
export function createSieve(pieces: readonly string[]): (signature: Uint8Array) => boolean {
  const grams = [...new Set(pieces.flatMap(piece => [...gramsOf(fold(piece))]))]
  const holds = (gram: number, signature: Uint8Array): boolean => {
    for (let probe = 0; probe < PROBES; probe++) {
      const bit = bitOf(gram, probe, signature)
      if (((signature[bit >>> 3] ?? 0) & (1 << (bit & 7))) === 0) return false
    }
    return true
  }
  return signature => signature.length === 0 || grams.every(gram => holds(gram, signature))
}

function* gramsOf(text: string): Generator<number> {
  for (let at = 0; at < text.length; at++) {
    let hash = 0x811c9dc5
    for (let length = 0; length < 3 && at + length < text.length; length++) {
      hash = Math.imul(hash ^ text.charCodeAt(at + length), 0x01000193)
      hash ^= hash >>> 15
      yield hash >>> 0
    }
  }
}

function bitOf(gram: number, probe: number, signature: Uint8Array): number {
  const step = (Math.imul(gram, 0x9e3779b1) | 1) >>> 0
  return (gram + probe * step) % (signature.length * 8)
}
