/** The end of the chain: the sequence of the last record (0: none yet) and its hash. */
export interface ChainHead {
  sequence: number
  hash: string
}

/** Before the first record. */
export const genesis: ChainHead = {sequence: 0, hash: '0'.repeat(64)}

/** Whether a record is the one after `head`. */
export const follows = (record: {seq: number; prev: string}, head: ChainHead): boolean =>
  record.seq === head.sequence + 1 && record.prev === head.hash
