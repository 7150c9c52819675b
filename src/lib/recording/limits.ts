/** Most raw bytes in one output event; longer writes become several events of the same time. */
export const EVENT_BYTES = 32 * 1024

/** Encoded lines at which a chunk closes: small enough to lose little, large enough to compress well. */
export const CHUNK_BYTES = 128 * 1024

/**
 * While the sink is busy a chunk may grow to this, so that a slow fsync is shared by more output. Several of them fit
 * into what may be pending, to be compressed at once.
 */
export const BUSY_CHUNK_BYTES = 1024 * 1024

/**
 * A chunk closes this long after its first event. A killed proxy loses what is not durable, at most a second of output:
 * the rest of it is for compressing and for the disk.
 */
export const CHUNK_MS = 700

/**
 * Output that nobody sees before it is durable is not kept waiting for a chunk to fill. Such a chunk closes at least this
 * long after the last one; each costs about 300 bytes of disk, half of them a line of the index.
 */
export const PROMPT_MS = 20

/** The more of them a recording has, the longer that is, a millisecond for so many, */
export const PROMPT_CHUNKS_PER_MS = 1000

/** up to this, so that the index of a session that goes on all day can still be read at once. */
export const PROMPT_MOST_MS = 100

/** Output that is not durable after this long asks the relay to pause: the disk is too slow to lose only a second. */
export const LATE_MS = 1000

/** Encoded bytes waiting for the sink above which `output` asks the relay to pause. */
export const PENDING_BYTES = 6 * 1024 * 1024

/** Longest marker label kept, in characters. */
export const LABEL_CHARACTERS = 1024

/** Longest line a reader accepts. An event of 32 kB of control bytes with its base64 needs 240 kB. */
export const LINE_BYTES = 1024 * 1024

/** Most bytes a gzip member may hold, compressed or inflated: beyond it is a bomb, not a chunk. */
export const MEMBER_BYTES = 8 * 1024 * 1024
