import {problem} from '../../errors/index.js'
import type {RecordingSummary} from '../../recording/types.js'

/**
 * A recording travels as one line of JSON, its summary, and its bytes after that. A header would be too small for it:
 * a session's command may have thousands of characters.
 */
const maxSummaryBytes = 256 * 1024

export interface RecordingAnswer {
  summary: RecordingSummary
  data: AsyncIterable<Uint8Array>
}

/**
 * Takes the answer to `openRecording` apart: a line of JSON, then the bytes of the recording, which may be read once.
 * @throws protocol_error
 */
export async function readRecordingAnswer(bytes: AsyncGenerator<Buffer>): Promise<RecordingAnswer> {
  let head = Buffer.alloc(0)
  for (;;) {
    const next = await bytes.next()
    if (next.done) throw problem('protocol_error', 'the service sent no summary of the recording')
    head = Buffer.concat([head, next.value])
    const end = head.indexOf('\n')
    if (end !== -1)
      return {summary: readSummary(head.subarray(0, end)), data: after(head.subarray(end + 1), bytes)}
    if (head.length > maxSummaryBytes)
      throw problem('protocol_error', 'the summary of the recording is too long')
  }
}

function readSummary(line: Buffer): RecordingSummary {
  try {
    return JSON.parse(line.toString('utf8')) as RecordingSummary
  } catch (cause) {
    throw problem('protocol_error', 'the service sent a summary of the recording that cannot be read', {
      cause,
    })
  }
}

async function* after(first: Buffer, rest: AsyncGenerator<Buffer>): AsyncGenerator<Buffer> {
  if (first.length > 0) yield first
  yield* rest
}
