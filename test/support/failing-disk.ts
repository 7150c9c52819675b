import type {FileHandle} from 'node:fs/promises'

type Operations = Record<string, (...given: never[]) => Promise<unknown>>

/** What a disk does to the steps of a test that change it; everything until the test says otherwise. */
export interface FailingDisk {
  /** Called before each step that changes the disk, with its kind and its path; its own error is that of the step. */
  before: (kind: string, path: string) => Promise<void> | undefined
}

const changing = ['rename', 'link', 'rm', 'unlink', 'mkdir', 'chmod'] as const
const changingHandle = ['write', 'writeFile', 'appendFile', 'truncate', 'sync', 'datasync'] as const

/**
 * `node:fs/promises` under a disk that fails where a test wants it to, for `vi.mock`. Only what changes the disk is looked
 * at. Handles that nobody comes to close are kept, so that they are not closed at some time of another test.
 */
export function failingFileSystem<Real extends object>(real: Real, disk: FailingDisk): Real {
  const operations = real as unknown as Operations
  const kept: FileHandle[] = []
  const watched = (target: Operations, kind: string, path: (given: unknown[]) => string) => {
    const run = target[kind]?.bind(target) as (...given: unknown[]) => Promise<unknown>
    return async (...given: unknown[]) => {
      await disk.before(kind, path(given))
      return await run(...given)
    }
  }
  const open = async (path: unknown, ...rest: unknown[]) => {
    const handle = (await (operations.open as (...given: unknown[]) => Promise<unknown>)(
      ...[path, ...rest],
    )) as FileHandle
    kept.push(handle)
    const steps = handle as unknown as Record<string, unknown>
    for (const kind of changingHandle)
      steps[kind] = watched(handle as unknown as Operations, kind, () => String(path))
    return handle
  }
  const steps = changing.map(kind => [kind, watched(operations, kind, ([path]) => String(path))])
  return {...real, ...Object.fromEntries(steps), open}
}
