import {type Content, createContent, type ReorderWindow} from './content.js'
import type {FileReport, Unhashed} from './types.js'

/** What passes of one open file in one direction. */
export interface Side {
  readonly content: Content
  /** Asked for at all. */
  used: boolean
  asks(): void
  /** Bytes that count: of an upload those that the host confirmed. */
  passes(bytes: number): void
  answered(error: string | undefined): void
  /** @param isWhole whether so many bytes, from the first one on and without a gap, are all of the file */
  report(closed: boolean, isWhole: (bytes: number) => boolean): Omit<FileReport, 'direction' | 'path'>
}

export function createSide(window: ReorderWindow): Side {
  const content = createContent(window)
  let bytes = 0
  let unanswered = 0
  let error: string | undefined
  /** Spoiled for a better reason than that nothing came. */
  const noneOf = (used: boolean): {unhashed: Unhashed} => {
    const found = content.finish()
    return used && 'unhashed' in found ? found : {unhashed: 'nothing passed'}
  }
  return {
    content,
    used: false,
    asks() {
      this.used = true
      unanswered++
    },
    passes(more) {
      bytes += more
    },
    answered(failure) {
      unanswered--
      error ??= failure
    },
    report(closed, isWhole) {
      const isConfirmed = unanswered === 0 && error === undefined
      if (!isConfirmed) content.spoil('not confirmed')
      const whole = content.whole()
      const complete = closed && isConfirmed && whole !== undefined && whole <= bytes && isWhole(whole)
      const found = bytes === 0 && !complete ? noneOf(this.used) : content.finish()
      return {bytes, complete, ...found, ...(error !== undefined && {error})}
    },
  }
}
