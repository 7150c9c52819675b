import {posix} from 'node:path'

/** A path without what means nothing: `a//b/../c/` → `a/c`. */
export const plainPath = (path: string): string => posix.normalize(path).replace(/(?<=.)\/$/, '')

/**
 * Whether what is done to `path` may concern `file`: it is the same, or a directory above. Where a relative path begins
 * is not known here, so beside an absolute one its last name decides. Both as `plainPath` gives them.
 */
export function mayConcern(path: string, file: string): boolean {
  if (path.startsWith('/') === file.startsWith('/')) return file === path || file.startsWith(`${path}/`)
  return file.split('/').includes(posix.basename(path))
}

export const mayBeSame = (one: string, other: string): boolean =>
  mayConcern(one, other) && mayConcern(other, one)
