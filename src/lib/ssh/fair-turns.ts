/** Someone with messages to send, one at a time. */
export interface Sender {
  /** Sends one message if it can; true when it could send another. */
  sendOne(): boolean
}

export interface FairTurns {
  /** `sender` has something to send. */
  ready(sender: Sender): void
  /** Lets everybody who is ready send, until the connection is congested. */
  run(): void
  leave(sender: Sender): void
}

/**
 * Senders that share a connection take turns, a message each: a bulk transfer must not make the keystrokes on another
 * channel of the connection wait.
 */
export function fairTurns(congested: () => boolean): FairTurns {
  const waiting = new Set<Sender>()
  let running = false
  const run = (): void => {
    if (running) return
    running = true
    try {
      // Who is added again during the loop comes up again behind the others.
      for (const sender of waiting) {
        if (congested()) break
        waiting.delete(sender)
        if (sender.sendOne()) waiting.add(sender)
      }
    } finally {
      running = false
    }
  }
  return {
    ready(sender) {
      waiting.add(sender)
      run()
    },
    run,
    leave(sender) {
      waiting.delete(sender)
    },
  }
}
