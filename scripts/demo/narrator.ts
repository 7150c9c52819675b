import {spawn} from 'node:child_process'
import {once} from 'node:events'
import {killGroup, type Stage} from './stage.js'

const endMilliseconds = 10_000
const startMilliseconds = 20_000

/** Shows and does: every command is printed as typed, handed to the shell as printed, and its output shown. */
export interface Narrator {
  /** A heading of the story. */
  heading(text: string): void
  note(text: string): void
  /** Runs a command line to its end; resolves to its stdout. @throws when its exit status is not 0 */
  run(command: string): Promise<string>
  /**
   * Starts a command line in the background; resolves when `ready` says so of what it has printed. It ends with the
   * stage: by SIGTERM, and by force after ten seconds.
   * @param log file in the stage's directory that its stderr goes to
   */
  start(command: string, log: string, ready: (stdout: string) => boolean | Promise<boolean>): Promise<void>
}

export function createNarrator(stage: Stage): Narrator {
  const fancy = process.stdout.isTTY === true && !process.env.NO_COLOR
  const style = (code: number, text: string): string => (fancy ? `\u001b[${code}m${text}\u001b[0m` : text)
  const say = (line: string): void => void process.stdout.write(`${line}\n`)
  const shell = (command: string) => {
    // A group of its own: Ctrl-C is ours to hear, and what the shell started ends with it.
    const child = spawn('/bin/sh', ['-c', command], {
      ...{cwd: stage.directory, env: stage.env, detached: true},
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    stage.guard(child)
    let stdout = ''
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      stdout += chunk
      process.stdout.write(chunk)
    })
    child.stderr.on('data', (chunk: Buffer) => void process.stdout.write(chunk))
    const failed = new Promise<never>((_, reject) => child.once('error', reject))
    const ended = new Promise<number | string>(resolve =>
      child.once('close', (code, signal) => resolve(code ?? signal ?? 'nothing')),
    )
    return {child, ended: Promise.race([ended, failed]), printed: () => stdout}
  }

  return {
    heading: text => say(`\n${style(2, `# ${text}`)}`),
    note: say,
    async run(command) {
      say(style(1, `$ ${command}`))
      const {child, ended, printed} = shell(command)
      stage.atEnd(() => killGroup(child))
      const status = await ended
      if (status !== 0) throw new Error(`the command above ended with ${status}`)
      return printed()
    },
    async start(command, log, ready) {
      say(style(1, `$ ${command} 2> ${log} &`))
      const {child, ended, printed} = shell(`exec ${command} 2> ${log}`)
      // Not `ended`: what it has started may hold the pipes a little longer.
      const exited = once(child, 'exit')
      stage.atEnd(async () => {
        const impatience = setTimeout(() => killGroup(child), endMilliseconds)
        killGroup(child, 'SIGTERM')
        await exited
        clearTimeout(impatience)
      })
      const early = ended.then(status => {
        throw new Error(`the command above ended with ${status}`)
      })
      early.catch(() => undefined)
      await Promise.race([until(() => ready(printed())), early])
    },
  }
}

/** Asks every 50 ms; what is waited for is another process, which has no event for us. */
async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + startMilliseconds; Date.now() < deadline; ) {
    if (await condition()) return
    await new Promise(resolve => setTimeout(resolve, 50))
  }
  throw new Error(`the command above was not ready in ${startMilliseconds / 1000} s`)
}
