// What is asked of recordings, as the contract has it.

export interface RecordingsQuery {
  user?: string
  host?: string
  login?: string
  /** Start of the session: from inclusive, to exclusive. */
  from?: Date
  to?: Date
  /** Session ID of the last recording of the page before; `not_found` when this query does not find it. */
  after?: string
  /** Newest first, at most this many, never more than 1000. Default 200. */
  limit?: number
  /** Only those under legal hold. */
  held?: boolean
}

export interface RecordingsSearch extends Omit<RecordingsQuery, 'limit' | 'held'> {
  /** Only this session; then up to `limit` lines of it come, of any other at most 20. */
  sid?: string
  /** What stood in one line of the screen, at most 256 characters. */
  text: string
  /** The text is a regular expression: ECMAScript, with `u`. */
  regex?: boolean
  ignoreCase?: boolean
  /** Lines at most, never more than 1000. Default 100. */
  limit?: number
}
