import {execFileSync} from 'node:child_process'
import {join} from 'node:path'
import {atEnd} from './cleanup.js'
import {eventually} from './eventually.js'
import {temporaryDirectory} from './temporary-directory.js'

/** A real terminal with a shell in it. */
export interface Tmux {
  /** Types a line. */
  type(line: string): void
  /** Presses keys, by tmux's names for them. */
  press(...keys: string[]): void
  /** The lines on the screen. */
  screen(): string[]
  /** Resolves when the screen shows it. @throws with the screen when it never does */
  until(pattern: RegExp): Promise<void>
  resize(columns: number, rows: number): void
}

/** Starts tmux with `sh` on a terminal of this size; it ends with the test file. */
export function startTmux(env: Record<string, string> = {}, size = {columns: 80, rows: 24}): Tmux {
  const socket = join(temporaryDirectory(), 'tmux')
  const tmux = (...args: string[]): string =>
    execFileSync('tmux', ['-S', socket, '-f', '/dev/null', ...args], {
      encoding: 'utf8',
      stdio: 'pipe',
      env: {
        PATH: process.env.PATH,
        HOME: process.env.HOME,
        LC_ALL: 'C.UTF-8',
        TERM: 'xterm-256color',
        ...env,
      },
    })
  tmux('new-session', '-d', '-s', 'main', '-x', String(size.columns), '-y', String(size.rows), 'sh')
  atEnd(async () => {
    try {
      tmux('kill-server')
    } catch {
      // It ends by itself with the last program in it.
    }
  })
  const screen = (): string[] =>
    tmux('capture-pane', '-p', '-t', 'main')
      .split('\n')
      .map(line => line.trimEnd())
  return {
    screen,
    type: line => void tmux('send-keys', '-t', 'main', line, 'Enter'),
    press: (...keys) => void tmux('send-keys', '-t', 'main', ...keys),
    resize: (columns, rows) =>
      void tmux('resize-window', '-t', 'main', '-x', String(columns), '-y', String(rows)),
    async until(pattern) {
      const shown = (): string => screen().join('\n')
      const what = (): string => `the terminal shows ${pattern}:\n${shown()}`
      await eventually(() => pattern.test(shown()), what, 100)
    },
  }
}
