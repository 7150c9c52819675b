import type {SessionRecord} from '../record.js'
import type {Withhold} from '../withheld/release.js'
import type {Party} from './party.js'

/**
 * The record of a session that others may join: the cluster knows of the session before its program starts, and those
 * who look on see what was recorded, and nothing before.
 */
export const hostedRecord = (record: SessionRecord, party: Party): SessionRecord => ({
  ...record,
  async begin(start) {
    await Promise.all([record.begin(start), party.open(start)])
    await party.ready()
  },
  output(chunk, stream, length) {
    const recording = record.output(chunk, stream, length)
    if (recording === false) return false
    const paused = party.output(chunk)
    if (!recording || !paused) return recording ?? paused
    return Promise.all([recording, paused]).then(() => undefined)
  },
  ...(record.withhold && {withhold: shownToAll(record.withhold, party)}),
  resize(size) {
    record.resize(size)
    party.resize(size)
  },
  async finish(exit, received) {
    await party.disperse()
    await Promise.all([record.finish(exit, received), party.close()])
  },
})

/** Who looks on sees it when the user does. */
const shownToAll =
  (withhold: Withhold, party: Party): Withhold =>
  (stream, deliver) => {
    let paused: Promise<void> | undefined
    const withheld = withhold(stream, (lent, shown) => {
      paused = party.output(shown)
      deliver(lent, shown)
    })
    return {
      flush: withheld.flush,
      output(chunk, shown) {
        const hold = withheld.output(chunk, shown)
        if (hold === false || !party.paused || !paused) return hold
        return hold ? Promise.all([hold, paused]).then(() => undefined) : paused
      },
    }
  }
