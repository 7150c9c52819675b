import {availableParallelism} from 'node:os'
import {defineConfig} from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    setupFiles: ['test/support/setup.ts'],
    pool: 'forks',
    // Vitest would leave one processor to its own process, which has little to do.
    maxWorkers: Math.max(2, availableParallelism()),
    // What waits for an event waits long, so that a busy machine fails nothing; what is right does not take that long.
    testTimeout: 180_000,
    hookTimeout: 180_000,
    expect: {poll: {timeout: 60_000, interval: 20}},
  },
})
