/**
 * A signature of a text: a Bloom filter of the runs of one, two and three characters in it, letters in lower case.
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

/** Text in which letters that differ in case alone are the same, piece by piece as in the whole. */
export const fold = (text: string): string => text.toLowerCase().replaceAll('ς', 'σ').replaceAll('ſ', 's')

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

/**
 * Strings that every match of a regular expression holds; few where that is hard to say. Pure, and linear in its
 * length; an expression that is none has some answer too.
 */
export function requiredPieces(expression: string): string[] {
  const pieces: string[] = []
  let run = ''
  let depth = 0
  const end = (): void => {
    if (run !== '' && depth === 0) pieces.push(run)
    run = ''
  }
  for (let at = 0; at < expression.length; at++) {
    const character = expression.charAt(at)
    if (character === '|') return []
    if (character === '\\') {
      at += 1
      const escaped = expression.charAt(at)
      // These go on with a number or a name.
      if (/[xucpPk0-9]/.test(escaped)) return []
      if (/[a-z]/i.test(escaped)) end()
      else run += escaped
    } else if ('?*{'.includes(character)) {
      run = run.slice(0, -1)
      end()
      if (character === '{') at = skipTo(expression, at, '}')
    } else if ('.^$+'.includes(character)) end()
    else if (character === '[') {
      end()
      at = skipTo(expression, at + 1, ']')
    } else if ('()'.includes(character)) {
      end()
      depth += character === '(' ? 1 : -1
    } else run += character
  }
  end()
  return pieces.map(piece => piece.replaceAll(/[\ud800-\udfff]/g, ''))
}

function skipTo(expression: string, from: number, closing: string): number {
  let at = from
  while (at < expression.length && expression.charAt(at) !== closing)
    at += expression.charAt(at) === '\\' ? 2 : 1
  return at
}
