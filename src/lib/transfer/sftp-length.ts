import type {Unhashed} from './types.js'

/**
 * What is known of the length of a file that is written to. A server works on one file in the order of the requests
 * (draft-ietf-secsh-filexfer-02 §6), so a length counts from when it was asked for.
 */
export interface FileLength {
  /** The client asks for a length; what it has sent before reaches to `sent`. */
  asked(length: number, sent: number): void
  answered(done: boolean): void
  /** Why a file of which `written` bytes were seen need not be those bytes; undefined: it is. */
  doubt(written: number): Unhashed | undefined
}

/** @param isEmpty the file began with nothing in it */
export function fileLength(isEmpty: boolean): FileLength {
  let known = isEmpty ? 0 : undefined
  /** Something was cut off that had been sent; what came after it may lie behind a hole. */
  let cut = false
  let unanswered = 0
  let failed = false
  return {
    asked(length, sent) {
      unanswered++
      known = length
      cut ||= length < sent
    },
    answered(done) {
      unanswered--
      failed ||= !done
    },
    doubt(written) {
      if (unanswered > 0 || failed) return 'not confirmed'
      if (known === undefined) return 'over what was there'
      return cut || written < known ? 'another length was set' : undefined
    },
  }
}
