/** What is known of a session when its recording begins; becomes the asciicast header and the index's first line. */
export interface RecordingMeta {
  /** Session ID, a lower-case UUID. */
  sid: string
  cluster: string
  user: string
  login: string
  /** The host as the user named it. */
  host: string
  /**
   * What a node called itself where the cluster knows it by another name, which is `host`: it was renamed meanwhile, or
   * lies. The header, which the node wrote, has this one.
   */
  toldHost?: string
  /** The address dialled, `ip:port`. */
  address: string
  /** Unix time in milliseconds. */
  startedAt: number
  interactive: boolean
  /** Terminal size in cells; 80×24 where there is no pty. */
  width: number
  height: number
  term?: string
  /** The command of an exec session. */
  command?: string
}

export interface RecordingSummary extends RecordingMeta {
  /** The beginning of the command; all of it is in the recording. */
  command?: string
  /** Unix milliseconds; of one that was cut short, the last time that is known. Absent while it has no end record. */
  endedAt?: number
  /** Sealed: complete and signed. Live: being written. Truncated: cut short, with an end record that says so or none yet. */
  state: 'live' | 'sealed' | 'truncated'
  /** Milliseconds from the start to the end; to the last event known where there is no end. */
  durationMs: number
  /** Compressed bytes of the recording file. */
  bytes: number
  /** There while the recording is under legal hold. */
  hold?: RecordingHold
}

/** While a recording is held, it is neither removed nor pruned. */
export interface RecordingHold {
  /** Unix ms. */
  at: number
  /** Who put it there. */
  by: string
  reason?: string
}

/** Chunk of a recording as it leaves the writer: one gzip member and the facts that place it. */
export interface RecordingChunk {
  /** 0 for the header, then counting up by one. */
  sequence: number
  /** Milliseconds since the start of the first and last event in it. */
  firstMs: number
  lastMs: number
  /** The gzip member. */
  data: Buffer
  /** Hex sha256(previous digest ‖ data). */
  digest: string
}

export interface RecordingEnd {
  endedAt: number
  durationMs: number
  chunks: number
  /** Digest of the last chunk: the head of the chain, which the cluster's recording key signs. */
  head: string
  /**
   * Why the recording ends before its session did; absent where it is all of the session. Given to a store it closes what
   * is there, however much that is.
   */
  truncated?: string
}

/** Where chunks go. Each promise resolves when the step is durable. Steps arrive in order, one at a time. */
export interface RecordingSink {
  begin(meta: RecordingMeta): Promise<void>
  append(sid: string, chunk: RecordingChunk): Promise<void>
  seal(sid: string, end: RecordingEnd): Promise<void>
}
