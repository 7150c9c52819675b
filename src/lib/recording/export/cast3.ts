import type {Cast} from '../read/reader.js'

/** The end of a session, as far as it is known. */
export interface SessionEnd {
  /** Milliseconds from the start. */
  durationMs?: number
  exitCode?: number
}

/**
 * asciicast v3 (https://docs.asciinema.org/manual/asciicast/v3/): times count from the event before, in milliseconds
 * that add up without drift. Without the exact bytes that are our own addition to v2; `x` where the exit code is known.
 */
export async function* cast3Lines(cast: Cast, end: SessionEnd = {}): AsyncGenerator<string> {
  yield `${JSON.stringify(header(cast))}\n`
  let last = 0
  const line = (timeMs: number, code: string, data: string): string => {
    const interval = Math.max(0, timeMs - last)
    last += interval
    return `${JSON.stringify([interval / 1000, code, data])}\n`
  }
  for await (const event of cast.events) {
    if (event.kind === 'output') yield line(event.timeMs, 'o', event.text)
    else if (event.kind === 'resize') yield line(event.timeMs, 'r', `${event.columns}x${event.rows}`)
    else yield line(event.timeMs, 'm', event.label)
  }
  if (end.exitCode !== undefined) yield line(end.durationMs ?? last, 'x', String(end.exitCode))
}

function header({header: {width, height, timestamp, title, term, command, own}}: Cast): object {
  return {
    version: 3,
    term: {cols: width, rows: height, ...(term !== undefined && {type: term})},
    ...(timestamp !== undefined && {timestamp}),
    ...(command !== undefined && {command}),
    ...(title !== undefined && {title}),
    ...(own && {sallyport: own}),
  }
}
