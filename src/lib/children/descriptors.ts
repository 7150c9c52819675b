import {openSync} from 'node:fs'

// The native part that opens terminals leaves their master side open across exec(3): whoever inherits it reads and types
// in another session. Node cannot mark a descriptor close-on-exec afterwards, but it can say what a child finds under
// each number, and does so before the child's program is there.

export interface Guarded {
  /** Forgets the descriptor: only once it is closed for certain. */
  release(): void
}

const guarded = new Set<{descriptor: number}>()
let nothing: number | undefined

/** Keeps a descriptor that is not close-on-exec from children that are started with `guardedStdio`. */
export function guardDescriptor(descriptor: number): Guarded {
  const entry = {descriptor}
  guarded.add(entry)
  return {release: () => void guarded.delete(entry)}
}

type Standard = 'pipe' | 'ignore' | 'ipc' | number
/** What a child has from 0 on. */
export type StandardStreams = readonly [Standard, Standard, Standard, ...Standard[]]
export type GuardedStdio = Standard[]

/**
 * The `stdio` of child_process.spawn: what the child has from 0 on, and /dev/null under the number of every guarded
 * descriptor. A child that minds closes those.
 */
export function guardedStdio(standard: StandardStreams): GuardedStdio {
  nothing ??= openSync('/dev/null', 'r+')
  const stdio: GuardedStdio = [...standard]
  for (const descriptor of [...guarded].map(entry => entry.descriptor).sort((a, b) => a - b)) {
    // From 3 on, to ignore a descriptor is to leave it alone; all others close on exec.
    while (stdio.length < descriptor) stdio.push('ignore')
    stdio[descriptor] = nothing
  }
  return stdio
}
