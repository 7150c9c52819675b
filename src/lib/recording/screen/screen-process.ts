import {setTimeout as delay} from 'node:timers/promises'
import {answerRequests} from '../helper.js'
import {type ScreenFileJob, writeScreenFile} from './file.js'

// The process that reads the screens of recordings, so that they can be searched.

export interface ScreenAnswer {
  complete: boolean
  signature: Uint8Array
}

/** Work on one recording; what is read by then is what can be searched of it. */
const WORK_MS = 60_000

answerRequests<ScreenFileJob, ScreenAnswer>(async job => {
  let worked = 0
  let resumed = performance.now()
  return await writeScreenFile(job, async () => {
    const turn = performance.now() - resumed
    worked += turn
    // Half of a processor at most.
    await delay(turn)
    resumed = performance.now()
    return worked < WORK_MS
  })
})
