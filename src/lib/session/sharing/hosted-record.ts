import type {SessionRecord} from '../record.js'
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
  resize(size) {
    record.resize(size)
    party.resize(size)
  },
  async finish(exit, received) {
    await party.disperse()
    await Promise.all([record.finish(exit, received), party.close()])
  },
})
