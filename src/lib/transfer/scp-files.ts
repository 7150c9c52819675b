import type {ScpCommand} from './command.js'
import {type Content, createContent, reorderWindow} from './content.js'
import type {ScpNames} from './scp-names.js'
import type {FileReport, TransferReports, Unhashed} from './types.js'

/** A file that has begun. */
export interface ScpFile {
  id: number
  report: Pick<FileReport, 'direction' | 'path' | 'name'>
  size: number
  left: number
  content: Content
  error?: string
  /** Nothing of it has been looked at yet. */
  untouched: boolean
}

/** The files of one transfer, each told of once. */
export interface ScpFiles {
  begin(size: number, name: Buffer): ScpFile
  /** The next bytes of it, as many as there are of it; returns how many that were. */
  take(file: ScpFile, bytes: Buffer): number
  /** One side says so; nobody knows what the other has kept. */
  noteError(file: ScpFile, error: string): void
  /** Both sides are through with it. */
  conclude(file: ScpFile, confirmed: boolean): void
  /** The sink has not agreed to take it. */
  refuse(file: ScpFile, error: string): void
  /** The source could not read it, or found none. */
  missing(error: string): void
  /** Tells of all that are not concluded. */
  abandon(reason?: Unhashed): void
}

const nothing = {unhashed: 'nothing passed'} as const

export function createScpFiles({direction}: ScpCommand, names: ScpNames, reports: TransferReports): ScpFiles {
  const unfinished = new Set<ScpFile>()
  let lastId = 0

  const tell = ({id}: ScpFile, report: FileReport): void => {
    reports.file(report, id)
    reports.closed?.(id)
  }
  const conclude = (file: ScpFile, confirmed: boolean): void => {
    if (!unfinished.delete(file)) return
    const {error} = file
    const bytes = file.size - file.left
    const complete = confirmed && file.left === 0 && error === undefined
    const found = bytes === 0 && !complete ? nothing : file.content.finish()
    tell(file, {...file.report, bytes, complete, ...found, ...(error !== undefined && {error})})
  }
  return {
    conclude,
    begin(size, name) {
      const report = {direction, ...names.file(name)}
      const content = createContent(reorderWindow())
      const file = {id: ++lastId, report, size, left: size, content, untouched: true}
      unfinished.add(file)
      reports.opened?.(lastId, report)
      return file
    },
    take(file, bytes) {
      const part = bytes.subarray(0, file.left)
      file.untouched = false
      file.content.add(file.size - file.left, part)
      file.left -= part.length
      return part.length
    },
    noteError(file, error) {
      file.error ??= error
      file.content.spoil('not confirmed')
    },
    refuse(file, error) {
      unfinished.delete(file)
      tell(file, {...file.report, bytes: 0, complete: false, ...nothing, error, refused: true})
    },
    missing(error) {
      const path = names.root()
      reports.file({direction, path, bytes: 0, complete: false, ...nothing, error, refused: true})
    },
    abandon(reason) {
      for (const file of unfinished) {
        if (reason) file.content.spoil(reason)
        conclude(file, false)
      }
    },
  }
}
