// Runs before each test file.
import {syncBuiltinESMExports} from 'node:module'
import os from 'node:os'
import {vi} from 'vitest'

const {waitFor} = vi

// By itself it waits for a second, which a busy machine can take for anything; no setting of vitest's changes that.
vi.waitFor = (callback, options) =>
  waitFor(callback, {
    timeout: 60_000,
    interval: 20,
    ...(typeof options === 'number' ? {timeout: options} : options),
  })

// Children of ours that are TypeScript, as the helpers of a search are: they inherit the flags of this process, which
// itself has its modules from vite and would pay for the loader in every test file.
process.execArgv.push('--import', import.meta.resolve('tsx'))

// Helpers go behind everything else at the processor: here that is all the other tests, until those are through.
os.setPriority = () => undefined
syncBuiltinESMExports()
