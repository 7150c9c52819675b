import {once} from 'node:events'
import type {PipedProcess} from './process.js'

/** Everything that a running program says, and how it ends. */
export interface Watched {
  said: {stdout: string; stderr: string}
  /** Resolves with the exit status. */
  ended: Promise<number>
  /** Resolves when it has said this on stdout. @throws with all it said, when it ends without */
  saying(text: string): Promise<void>
}

export function watch(child: PipedProcess): Watched {
  const said = {stdout: '', stderr: ''}
  const listeners: (() => void)[] = []
  for (const stream of ['stdout', 'stderr'] as const) {
    child[stream].setEncoding('utf8').on('data', (chunk: string) => {
      said[stream] += chunk
      for (const listener of listeners) listener()
    })
  }
  const ended = once(child, 'close').then(([code]) => code as number)
  return {
    ...{said, ended},
    saying: text =>
      new Promise<void>((resolve, reject) => {
        const look = (): void => {
          if (said.stdout.includes(text)) resolve()
        }
        listeners.push(look)
        look()
        void ended.then(code => reject(new Error(`it ended with ${code}: ${said.stdout}${said.stderr}`)))
      }),
  }
}
