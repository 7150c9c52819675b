import type {ScpCommand} from './command.js'
import {unreadable} from './packets.js'
import {pathName} from './path-name.js'
import type {PathName} from './types.js'

const maxDepth = 512
/** Of the path of the directory that is being copied. */
const maxPathBytes = 16 * 1024

/** Where the files of one scp come from or go to. */
export interface ScpNames {
  /** What the command names, where nothing more is known. */
  root(): PathName
  /** A file in the directory that was entered last. */
  file(name: Buffer): {path: PathName; name: PathName}
  enter(name: Buffer): void
  leave(): void
}

const slash = Buffer.from('/')

/**
 * Gives names of the protocol their paths on the host. A single target of an upload may be a file, or a directory that
 * the name goes into; only the host knows which, so the path is then the target alone.
 */
export function createScpNames({direction, paths, intoDirectory}: ScpCommand): ScpNames {
  const given = paths.map(path => Buffer.from(path))
  const first = given[0] ?? Buffer.from('.')
  const directories: Buffer[] = []
  let bytes = 0
  const isDirectory = intoDirectory || /(^|\/)(\.{0,2})$/.test(first.toString('latin1'))

  const pathOf = (names: readonly Buffer[]): Buffer => {
    if (direction === 'upload') return isDirectory ? join(first, ...names) : first
    const [top, ...below] = names as [Buffer, ...Buffer[]]
    return join(topOf(given, top), ...below)
  }
  return {
    root: () => pathName(given.length === 1 ? first : Buffer.from(paths.join(' '))),
    file(name) {
      const names = [...directories, name]
      return {path: pathName(pathOf(names)), name: pathName(join(...(names as [Buffer])))}
    },
    enter(name) {
      if (directories.length >= maxDepth || bytes + name.length > maxPathBytes)
        throw unreadable('directories are nested too deeply')
      directories.push(name)
      bytes += name.length
    },
    leave() {
      const name = directories.pop()
      if (!name) throw unreadable('a directory ends that has not begun')
      bytes -= name.length
    },
  }
}

/** The path of what the host calls `name`, by the words of the command, which the shell may have expanded. */
function topOf(given: readonly Buffer[], name: Buffer): Buffer {
  const plain = given.map(path => path.toString('latin1').replace(/(?<=.)\/+$/, ''))
  const text = name.toString('latin1')
  const same = plain.find(path => path === text || path.endsWith(`/${text}`))
  if (same !== undefined) return Buffer.from(same, 'latin1')
  const [only = ''] = plain
  if (plain.length > 1) return name
  if (!/[*?[{]/.test(only)) return Buffer.from(only, 'latin1')
  return join(Buffer.from(only.slice(0, only.lastIndexOf('/') + 1), 'latin1'), name)
}

const join = (first: Buffer, ...rest: Buffer[]): Buffer =>
  rest.reduce(
    (path, name) =>
      path.length === 0 || path.at(-1) === slash[0]
        ? Buffer.concat([path, name])
        : Buffer.concat([path, slash, name]),
    first,
  )
