import {problem} from '../errors/index.js'

/** What we let a peer send before we have read it: two megabytes keep 40 ms × 400 Mbit/s busy. */
export const windowSize = 2 * 1024 * 1024
/** Largest data message we take; ssh2 refuses packets over 35 000 bytes. */
export const maxPacketSize = 32 * 1024
/** Credit smaller than this is not worth a message while the peer has plenty left. */
const creditThreshold = windowSize / 4

/** The window we give a peer (RFC 4254 §5.2). */
export interface ReceiveWindow {
  /** @throws protocol_error when the peer sends more than it may */
  take(bytes: number): void
  /** Bytes to give back now that all but `unread` have been consumed; 0 while that is not worth a message. */
  credit(unread: number): number
}

export function receiveWindow(): ReceiveWindow {
  let uncredited = 0
  return {
    take(bytes) {
      if (uncredited + bytes > windowSize) {
        throw problem('protocol_error', 'the peer sent more data than its window allows')
      }
      uncredited += bytes
    },
    credit(unread) {
      const consumed = uncredited - unread
      // With much unread on one stream the peer would run dry on the other before the threshold is reached.
      const low = windowSize - uncredited < maxPacketSize
      if (consumed <= 0 || (consumed < creditThreshold && !low)) return 0
      uncredited -= consumed
      return consumed
    },
  }
}
