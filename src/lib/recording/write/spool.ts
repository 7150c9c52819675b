import {randomUUID} from 'node:crypto'
import {type FileHandle, open, unlink} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

/** Bytes that come once and may be read again from the beginning, from a file without a name. */
export interface Spool {
  /** Everything from the beginning; waits for what has not come yet. Throws what the source threw. */
  read(): AsyncGenerator<Uint8Array>
  /** Stops taking; nothing can be read any more. */
  close(): void
}

const PIECE = 64 * 1024

/**
 * Takes `source` into a file that was unlinked as soon as it was open: nobody else can open it, and it is gone with
 * the process. Memory stays flat however long the recording is, and reading may begin at once.
 */
export async function createSpool(source: AsyncIterable<Uint8Array>, directory = tmpdir()): Promise<Spool> {
  const path = join(directory, `sallyport-${randomUUID()}`)
  const handle = await open(path, 'wx+', 0o600)
  await unlink(path)
  const state: {size: number; ended: boolean; closed: boolean; failure?: unknown; waiting: (() => void)[]} = {
    size: 0,
    ended: false,
    closed: false,
    waiting: [],
  }
  const wake = (): void => {
    for (const resolve of state.waiting.splice(0)) resolve()
  }

  const fill = async (): Promise<void> => {
    try {
      for await (const piece of source) {
        if (state.closed) break
        await handle.writeFile(piece)
        state.size += piece.length
        wake()
      }
    } catch (error) {
      state.failure = error
    }
    state.ended = true
    wake()
  }
  const filling = fill()

  return {
    async *read() {
      for (let at = 0; ; ) {
        while (at >= state.size && !state.ended)
          await new Promise<void>(resolve => state.waiting.push(resolve))
        if (at >= state.size) break
        const piece = await readPiece(handle, at, Math.min(PIECE, state.size - at))
        at += piece.length
        yield piece
      }
      if (state.failure !== undefined) throw state.failure
    },
    close() {
      state.closed = true
      // A source that is slow to answer must not hold the end up.
      void filling.then(() => handle.close())
    },
  }
}

async function readPiece(handle: FileHandle, at: number, length: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(length)
  const {bytesRead} = await handle.read(buffer, 0, length, at)
  return buffer.subarray(0, bytesRead)
}
