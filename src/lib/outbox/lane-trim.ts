import {keptCount, type LaneFiles, pathOf, sizeOf, toldCount} from './lane-files.js'
import {isOpen} from './lane-state.js'
import type {LaneWriter} from './lane-writer.js'
import {encodeRecord} from './records.js'
import {removeSegment, setAside} from './segment-file.js'

/** A lane of which everything is delivered gives its files up above this size. */
const TRIM_BYTES = 256 * 1024
/** How far auth is, is noted after so many steps. */
const MARK_STEPS = 256

/** Gives files up that nobody needs any more, and notes how far auth is. */
export function createTrim(files: LaneFiles, writer: LaneWriter): () => Promise<void> {
  /** Steps that auth has, as it is noted in the files. */
  let marked = 0

  /** For the next process; losing it costs repetition alone, so nobody waits for the disk. */
  const mark = async (): Promise<void> => {
    const sent = toldCount(files)
    if (sent.steps === marked || !writer.isClean) return
    await writer.write([encodeRecord({kind: 'sent', sent})], keptCount(files), false)
    marked = sent.steps
  }

  const drop = async (count: number): Promise<void> => {
    for (const {number, bytes, damaged} of files.segments.splice(0, count)) {
      files.budget.give(bytes)
      await (damaged ? setAside(pathOf(files, number)) : removeSegment(pathOf(files, number)))
    }
  }

  const trimPart = async (): Promise<void> => {
    const at = files.segments.findIndex(({number}) => number === files.position?.segment)
    await drop(Math.max(at, 0))
    if (toldCount(files).steps - marked >= MARK_STEPS) await mark()
  }

  return async () => {
    if (keptCount(files).steps > toldCount(files).steps) return await trimPart()
    files.waitingSince = undefined
    const goesOn = isOpen(files.state)
    if (goesOn && sizeOf(files) <= TRIM_BYTES) return await mark()
    const old = files.segments.length
    // The next process has to know of a session that goes on.
    if (goesOn) await writer.begin([], keptCount(files))
    files.position = goesOn && files.tail ? {...files.tail} : undefined
    marked = toldCount(files).steps
    if (!goesOn) writer.cut()
    await drop(old)
  }
}
