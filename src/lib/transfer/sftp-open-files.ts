import {reorderWindow} from './content.js'
import {unreadable} from './packets.js'
import {mayBeSame, mayConcern, plainPath} from './same-path.js'
import {type OpenFile, openFile} from './sftp-file.js'
import type {SftpRequest} from './sftp-requests.js'
import type {FileReport, PathName, TransferReports} from './types.js'

/** As many as an sftp-server may have open by the usual limit of descriptors, four times over. */
const maxHandles = 4096
/** With more files open to be written, whatever is done by a path is taken to concern each: comparing takes time. */
const maxCompared = 256
/** Characters of paths that are kept with requests and handles. */
const maxPathCharacters = 8 * 1024 * 1024

export type Handle = {file: OpenFile; path: PathName} | {file?: undefined; path: PathName}

/** What is kept of paths, of requests and open files alike. */
export interface PathBudget {
  /** @throws protocol_error when it is too much */
  take(characters: number): void
  give(characters: number): void
}

export function pathBudget(): PathBudget {
  let kept = 0
  return {
    take(characters) {
      kept += characters
      if (kept > maxPathCharacters) throw unreadable('too many long paths at once')
    },
    give(characters) {
      kept -= characters
    },
  }
}

/** The files and directories that an SFTP session has open. */
export interface OpenFiles {
  of(handle: string): Handle | undefined
  /** The host has opened it. @throws protocol_error for a handle that is in use, or one too many */
  opened(request: SftpRequest & {ask: 'open' | 'opendir'}, handle: Buffer): void
  /** The client closes it: the handle stands for nothing any more. */
  closing(handle: string): void
  /** The host has answered that. */
  closed(file: OpenFile, error: string | undefined): void
  /** Something was done to these paths, which may be those of files that are open. */
  moved(...paths: PathName[]): void
  /** Something was done to a file under a name that may be any name of any file. */
  touched(): void
  /** Tells of all that is still open. */
  concludeAll(how: 'aborted' | 'lost'): void
}

export function openFiles(reports: TransferReports, budget: PathBudget): OpenFiles {
  const handles = new Map<string, Handle>()
  /** Those that the host has not closed yet, whether or not their handles still stand for them, and their numbers. */
  const files = new Map<OpenFile, number>()
  /** Those of them that may be changed, with their paths. */
  const changing = new Map<OpenFile, string>()
  const window = reorderWindow()
  let lastId = 0

  /** Returns whether there was one. */
  const changed = (isMeant: (path: string) => boolean): boolean => {
    const isMany = changing.size > maxCompared
    let any = false
    for (const [file, path] of changing) {
      if (!isMany && !isMeant(path)) continue
      file.changedMeanwhile()
      any = true
    }
    return any
  }
  const begin = (file: OpenFile): void => {
    files.set(file, ++lastId)
    if (file.direction === 'upload') {
      const path = plainPath(file.path.text)
      if (changed(other => mayBeSame(path, other))) file.changedMeanwhile()
      changing.set(file, path)
    }
    reports.opened?.(lastId, {direction: file.direction, path: file.path})
  }
  const tell = (file: OpenFile, all: FileReport[]): void => {
    const id = files.get(file)
    files.delete(file)
    changing.delete(file)
    for (const report of all) reports.file(report, id)
    if (id !== undefined) reports.closed?.(id)
  }

  return {
    of: handle => handles.get(handle),
    opened(request, handle) {
      const key = handle.toString('latin1')
      if (handles.has(key)) throw unreadable('a handle is given twice')
      if (handles.size >= maxHandles) throw unreadable(`more than ${maxHandles} files are open`)
      const {path} = request
      budget.take(path.text.length)
      if (request.ask === 'opendir') {
        handles.set(key, {path})
        return reports.operation({operation: 'opendir', path})
      }
      const file = openFile(path, request.flags, window)
      handles.set(key, {path, file})
      begin(file)
    },
    closing(handle) {
      const known = handles.get(handle)
      if (!known) return
      handles.delete(handle)
      if (!known.file) budget.give(known.path.text.length)
    },
    closed(file, error) {
      budget.give(file.path.text.length)
      tell(file, file.conclude('closed', error))
    },
    moved(...paths) {
      const plain = paths.map(({text}) => plainPath(text))
      changed(file => plain.some(path => mayConcern(path, file)))
    },
    touched: () => void changed(() => true),
    concludeAll(how) {
      for (const file of [...files.keys()]) tell(file, file.conclude(how))
      handles.clear()
    },
  }
}
