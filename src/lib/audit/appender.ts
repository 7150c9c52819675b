import {constants} from 'node:fs'
import type {FileHandle} from 'node:fs/promises'
import {syncDirectory} from '../durable/index.js'
import {problem} from '../errors/index.js'
import {type LogFile, logFile, openLogFile} from './files.js'

/** A file of the log is full at this size; the next batch begins another. */
const FILE_BYTES = 64 * 1024 * 1024

export interface Appender {
  /** Makes lines durable, in a new file when the day changed or the file is full. All of them or none. */
  append(text: string, firstSequence: number, day: string): Promise<void>
  /** Readers must not look further into this file than its durable size. */
  readonly active: {file: LogFile; size: number} | undefined
  close(): Promise<void>
}

/** Appends to the last file of a log. A failed write leaves nothing behind: the next one starts where it did. */
export function createAppender(directory: string, last: {file: LogFile; size: number} | undefined): Appender {
  let active = last
  let handle: FileHandle | undefined
  let dirty = false

  const rotate = async (file: LogFile): Promise<void> => {
    const next = await openLogFile(file.path, constants.O_RDWR | constants.O_CREAT)
    try {
      if ((await next.stat()).size > 0)
        throw problem('audit_corrupt', `the audit log already has a file ${file.name} with records in it`)
      await syncDirectory(directory)
    } catch (error) {
      await next.close()
      throw error
    }
    await handle?.close()
    handle = next
    active = {file, size: 0}
  }

  const repair = async (): Promise<void> => {
    if (dirty && handle && active) await handle.truncate(active.size)
    dirty = false
  }

  return {
    get active() {
      return active
    },
    async append(text, firstSequence, day) {
      await repair()
      if (!active || active.file.day !== day || active.size >= FILE_BYTES)
        await rotate(logFile(directory, firstSequence, day))
      if (!active) throw problem('internal', 'the audit log has no file to write to')
      handle ??= await openLogFile(active.file.path, constants.O_RDWR)
      dirty = true
      const bytes = Buffer.from(text)
      try {
        await writeAt(handle, bytes, active.size)
        await handle.datasync()
      } catch (error) {
        // At once, for whoever reads the file; where that fails, too, the next append tries it again.
        await repair().catch(() => undefined)
        throw error
      }
      dirty = false
      active = {file: active.file, size: active.size + bytes.length}
    },
    async close() {
      await repair()
      await handle?.close()
      handle = undefined
    },
  }
}

async function writeAt(handle: FileHandle, bytes: Buffer, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const {bytesWritten} = await handle.write(bytes, done, bytes.length - done, position + done)
    done += bytesWritten
  }
}
