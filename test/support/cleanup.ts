type Cleanup = () => void | Promise<void>

const pending: Cleanup[] = []

/**
 * Runs `cleanup` when the test file that imported this ends, last registered first: what was started on top of
 * something goes before it. Returns a function that takes the registration back.
 */
export function atEnd(cleanup: Cleanup): () => void {
  pending.push(cleanup)
  return () => {
    const index = pending.indexOf(cleanup)
    if (index >= 0) pending.splice(index, 1)
  }
}

/** For what runs outside of the test runner; inside of it, this happens by itself. */
export async function cleanUp(): Promise<void> {
  const failures: unknown[] = []
  for (let cleanup = pending.pop(); cleanup; cleanup = pending.pop()) {
    try {
      await cleanup()
    } catch (failure) {
      failures.push(failure)
    }
  }
  if (failures.length > 0) throw new AggregateError(failures, 'cleaning up after the tests failed')
}

if (process.env.VITEST) {
  const {afterAll} = await import('vitest')
  afterAll(cleanUp)
}
