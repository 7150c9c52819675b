/** Line separators and bidirectional controls deceive a reader as well as control characters do. */
const unfit = /[\p{Cc}\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]+/gu

/** Text from a peer made fit for one line of an error: bounded, and nothing in it that a terminal would obey. */
export const peerText = (text: string, limit = 1024): string =>
  text.slice(0, limit).replace(unfit, ' ').trim()
