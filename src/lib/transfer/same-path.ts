import {posix} from 'node:path'

/** A path without what means nothing: `a//b/../c/` → `a/c`. */
export const plainPath = (path: string): string => posix.normalize(path).replace(/(?<=.)\/$/, '')

/** Where a relative path begins is not known here: beside an absolute one it may be any. */
const isUnlike = (one: string, other: string): boolean => one.startsWith('/') !== other.startsWith('/')

/** Both as `plainPath` gives them. */
export const mayBeSame = (one: string, other: string): boolean => one === other || isUnlike(one, other)

/** Whether what is done to `path` may concern `file`: it may be the same, or a directory above. */
export const mayConcern = (path: string, file: string): boolean =>
  mayBeSame(path, file) || (file.startsWith(path) && file[path.length] === '/')
