import type {PipedProcess} from './process.js'

/** What a program has said so far, byte for byte, and when. */
export interface Received {
  /** Of stdout, a character for each byte. */
  readonly text: string
  readonly stderr: string
  /** When the byte at `offset` of stdout had come, Unix ms. */
  at(offset: number): number
  /** Resolves as soon as stdout has so many lines. @throws with all it said, when it ends before */
  lines(count: number): Promise<void>
  /** Resolves with the exit status. */
  ended: Promise<number>
}

export function receive(child: PipedProcess): Received {
  const arrivals: {end: number; time: number}[] = []
  const waiting: {count: number; resolve: () => void}[] = []
  let text = ''
  let stderr = ''
  let lines = 0
  child.stdout.setEncoding('latin1').on('data', (chunk: string) => {
    text += chunk
    lines += chunk.split('\n').length - 1
    arrivals.push({end: text.length, time: Date.now()})
    for (const {count, resolve} of waiting) if (lines >= count) resolve()
  })
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    stderr += chunk
  })
  const ended = new Promise<number>(resolve => child.once('close', resolve))
  return {
    get text() {
      return text
    },
    get stderr() {
      return stderr
    },
    at: offset => arrivals.find(({end}) => end > offset)?.time ?? Infinity,
    lines: count =>
      new Promise((resolve, reject) => {
        waiting.push({count, resolve})
        if (lines >= count) resolve()
        void ended.then(code => reject(new Error(`it ended with ${code}: ${text}${stderr}`)))
      }),
    ended,
  }
}
