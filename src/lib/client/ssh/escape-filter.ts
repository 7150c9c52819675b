/** What the person typed an escape for. */
export type EscapeAction = 'disconnect' | 'help'

export interface EscapeFilter {
  /** What of the typed bytes goes to the remote side, and the escapes met, in order. */
  filter(typed: Buffer): {data: Buffer; actions: EscapeAction[]}
}

const tilde = 0x7e
const carriageReturn = 0x0d
const lineFeed = 0x0a
const actionKeys = new Map<number, EscapeAction>([
  [0x2e, 'disconnect'],
  [0x3f, 'help'],
])

/**
 * OpenSSH's escapes: `~.` and `~?` at the beginning of a line, `~~` for one `~`. Nothing after a disconnect is
 * passed on. An escape may be split over two pieces.
 */
export function escapeFilter(escapeCharacter = tilde): EscapeFilter {
  let lineStart = true
  let escaped = false
  const isLineEnd = (byte: number) => byte === carriageReturn || byte === lineFeed
  return {
    filter(typed) {
      const passed: number[] = []
      const actions: EscapeAction[] = []
      for (const byte of typed) {
        if (escaped) {
          escaped = false
          const action = actionKeys.get(byte)
          if (action !== undefined) {
            actions.push(action)
            lineStart = true
            if (action === 'disconnect') break
            continue
          }
          if (byte !== escapeCharacter) passed.push(escapeCharacter)
        } else if (lineStart && byte === escapeCharacter) {
          escaped = true
          continue
        }
        passed.push(byte)
        lineStart = isLineEnd(byte)
      }
      return {data: Buffer.from(passed), actions}
    },
  }
}

/** What `~?` shows. The terminal is raw: lines end with CR LF. */
export const escapeHelp = [
  '',
  'Supported escape sequences:',
  ' ~.   - end the connection',
  ' ~?   - this message',
  ' ~~   - send the escape character by typing it twice',
  '(Escapes are only recognised right after Enter.)',
  '',
].join('\r\n')
