import type {TerminalSize} from '../channel/requests.js'

/** The latest output of a session and its changes of size, in the order they came. */
export type TailItem =
  /** As it came. */
  | {kind: 'raw'; data: Buffer; passedOver?: true}
  /** Made harmless already. */
  | {kind: 'text'; text: string; passedOver?: true}
  | {kind: 'size'; size: TerminalSize}

export interface OutputTail {
  /** About that much memory. */
  readonly bytes: number
  /** Copies: a chunk may be a small part of a large buffer that must not live on. */
  push(chunk: Buffer): void
  pushText(text: string): void
  pushSize(size: TerminalSize): void
  /** All of it, the oldest first. */
  items(): TailItem[]
  replace(items: TailItem[]): void
  /** Memory of an item that nobody looks at any more. */
  reuse(item: TailItem): void
}

export const segmentBytes = 32 * 1024
const firstBytes = 1024
const sizeBytes = 16

export function createOutputTail(): OutputTail {
  let closed: TailItem[] = []
  let closedBytes = 0
  /** The segment that is being filled. */
  let open: Buffer = Buffer.alloc(0)
  let openBytes = 0
  let spare: Buffer | undefined

  const close = (): void => {
    if (openBytes === 0) return
    closed.push({kind: 'raw', data: open.subarray(0, openBytes)})
    closedBytes += openBytes
    open = Buffer.alloc(0)
    openBytes = 0
  }
  const makeRoom = (wanted: number): void => {
    if (wanted <= open.length) return
    const size = Math.min(segmentBytes, Math.max(firstBytes, 2 * wanted))
    const grown = size === segmentBytes && spare ? spare : Buffer.allocUnsafeSlow(size)
    if (grown === spare) spare = undefined
    open.copy(grown, 0, 0, openBytes)
    open = grown
  }
  return {
    get bytes() {
      return closedBytes + openBytes
    },
    push(chunk) {
      for (let at = 0; at < chunk.length; ) {
        const count = Math.min(segmentBytes - openBytes, chunk.length - at)
        makeRoom(openBytes + count)
        chunk.copy(open, openBytes, at, at + count)
        openBytes += count
        at += count
        if (openBytes === segmentBytes) close()
      }
    },
    pushText(text) {
      if (text === '') return
      close()
      closedBytes += text.length
      const last = closed.at(-1)
      if (last?.kind === 'text' && !last.passedOver && last.text.length < segmentBytes) last.text += text
      else closed.push({kind: 'text', text})
    },
    pushSize(size) {
      close()
      if (closed.at(-1)?.kind === 'size') closed.pop()
      else closedBytes += sizeBytes
      closed.push({kind: 'size', size})
    },
    items() {
      close()
      return closed
    },
    replace(items) {
      close()
      closed = items
      closedBytes = items.reduce((sum, item) => sum + weight(item), 0)
    },
    reuse(item) {
      if (item.kind === 'raw' && item.data.length === segmentBytes) spare = item.data
    },
  }
}

export const weight = (item: TailItem): number => {
  if (item.kind === 'size') return sizeBytes
  return item.kind === 'raw' ? item.data.length : item.text.length
}
