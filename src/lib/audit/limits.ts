/** Longest record. Within the limits of its parts one could grow to megabytes. */
export const RECORD_BYTES = 64 * 1024

/** Records in one write; a longer queue takes several. */
export const BATCH_RECORDS = 256

/**
 * Bytes of one write. A crash can spoil what was being written and nothing before it, so this is how far from its end
 * a log may be damaged without anybody's doing.
 */
export const BATCH_BYTES = 1024 * 1024
