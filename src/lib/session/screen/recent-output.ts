import {StringDecoder} from 'node:string_decoder'
import {createSanitizer} from '../../recording/index.js'
import type {TerminalSize} from '../channel/requests.js'
import {modesIn} from './modes.js'
import {createOutputTail, segmentBytes, type TailItem, weight} from './output-tail.js'
import {drawScreen, type PaintedScreen} from './screen.js'

/**
 * What a session has shown lately, from which its screen can be drawn: a screen of some time ago, painted, and the
 * output since then. So much of the output is kept that a screen which is written anew is in it whole; what is older
 * goes into the painted screen now and then, or, where output floods, is passed over but for the modes that it sets.
 */
export interface RecentOutput {
  /** Keeps a copy. */
  keep(chunk: Buffer): void
  /** The same, and gives back what may be shown of it: whole sequences that do nothing outside of the screen. */
  pass(chunk: Buffer): string
  resize(size: TerminalSize): void
  /**
   * Brings any terminal to the screen as it is when this resolves; what `pass` gives then goes on from there. One at a
   * time.
   */
  screen(): Promise<string>
}

export interface RecentOutputOptions {
  /** Undefined: no terminal; then there is no screen, and the last lines stand for it. */
  size: TerminalSize | undefined
  /** Milliseconds; only differences count. */
  monotonic: () => number
  /** Whether there is processor time to draw this many bytes; shared by the sessions of a process. */
  mayDraw(bytes: number): boolean
}

const mostBytes = 2 * segmentBytes
/** Drawing a segment takes some milliseconds: often enough for what people do, and nothing beside a flood. */
const drawMilliseconds = 1000
const mostShown = 16 * 1024

export function createRecentOutput({size, monotonic, mayDraw}: RecentOutputOptions): RecentOutput {
  const tail = createOutputTail()
  let painted: PaintedScreen = {size: size ?? {columns: 80, rows: 24}, text: ''}
  /** Has read all raw output before the first that is in the tail. */
  let clean = createCleaner()
  let drawing: Promise<void> | undefined
  let drawn = Number.NEGATIVE_INFINITY

  const cleaned = (items: readonly TailItem[]): TailItem[] =>
    items.map(item => (item.kind === 'raw' ? {kind: 'text', text: clean(item.data)} : item))

  const draw = async (upTo: number): Promise<void> => {
    drawn = monotonic()
    const items = tail.items()
    let count = 0
    for (let taken = 0; count < items.length && taken < upTo; count++)
      taken += weight(items[count] as TailItem)
    tail.replace(items.slice(count))
    const events = cleaned(items.slice(0, count)).flatMap(eventOf)
    try {
      painted = await drawScreen(painted, events)
    } catch {
      // What cannot be drawn must not end the session that nobody may even watch: its screen begins anew, empty.
      painted = {size: painted.size, text: ''}
    } finally {
      drawing = undefined
    }
  }
  const passOver = (): void => {
    const items = tail.items()
    const at = items.findIndex(item => item.kind !== 'size' && !item.passedOver)
    const passed = items.slice(0, at + 1)
    const sizes = passed.filter(item => item.kind === 'size').slice(-1)
    const modes = modesIn(joined(passed.map(bytesOf)))
    for (const item of passed) tail.reuse(item)
    const raw = passed.some(({kind}) => kind === 'raw')
    // What was open before output that is not read is open no more.
    if (raw) clean = createCleaner()
    const stand: TailItem = raw
      ? {kind: 'raw', data: modes, passedOver: true}
      : {kind: 'text', text: modes.toString('utf8'), passedOver: true}
    tail.replace([...sizes, stand, ...items.slice(at + 1)])
  }
  const drop = (): void => {
    const [first, ...rest] = tail.items()
    if (first?.kind === 'raw') clean = createCleaner()
    if (first) tail.reuse(first)
    tail.replace(rest)
  }
  const shrink = (): void => {
    if (tail.bytes <= mostBytes) return
    if (!size) drop()
    else if (!drawing && monotonic() - drawn >= drawMilliseconds && mayDraw(segmentBytes))
      drawing = draw(segmentBytes)
    else passOver()
  }
  return {
    keep(chunk) {
      for (let at = 0; at < chunk.length; at += segmentBytes) {
        tail.push(chunk.subarray(at, at + segmentBytes))
        shrink()
      }
    },
    pass(chunk) {
      tail.replace(cleaned(tail.items()))
      const text = clean(chunk)
      tail.pushText(text)
      shrink()
      return text
    },
    resize(changed) {
      if (!size) return
      tail.pushSize(changed)
      shrink()
    },
    async screen() {
      while (drawing) await drawing
      if (size) {
        drawing = draw(Number.POSITIVE_INFINITY)
        await drawing
      }
      tail.replace(cleaned(tail.items()))
      const rest = tail
        .items()
        .flatMap(eventOf)
        .filter(event => typeof event === 'string')
        .join('')
      return size ? painted.text + rest : lastLines(rest)
    },
  }
}

/** Makes output harmless piece by piece. */
function createCleaner(): (chunk: Buffer) => string {
  const decoder = new StringDecoder('utf8')
  const sanitizer = createSanitizer()
  return chunk => sanitizer.push(decoder.write(chunk))
}

const eventOf = (item: TailItem): (string | TerminalSize)[] => {
  if (item.kind === 'size') return [item.size]
  return item.kind === 'text' ? [item.text] : []
}

const bytesOf = (item: TailItem): Buffer => {
  if (item.kind === 'raw') return item.data
  return item.kind === 'text' ? Buffer.from(item.text) : Buffer.alloc(0)
}

/** Copies only where there is more than one. */
function joined(parts: readonly Buffer[]): Buffer {
  const some = parts.filter(part => part.length > 0)
  return some.length === 1 ? (some[0] as Buffer) : Buffer.concat(some)
}

/** Whole lines, where there are any. */
function lastLines(text: string): string {
  if (text.length <= mostShown) return text
  const end = text.slice(-mostShown)
  return end.slice(end.indexOf('\n') + 1)
}
