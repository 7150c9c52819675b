import {realpathSync} from 'node:fs'
import {delimiter, join} from 'node:path'

export interface ThisProcess {
  argv: readonly string[]
  execPath: string
  execArgv: readonly string[]
  env: NodeJS.ProcessEnv
}

/**
 * The words by which another program starts this one: `sallyport` where that is what PATH leads to, else the
 * interpreter and the script in full.
 */
export function selfCommand({argv, execPath, execArgv, env}: ThisProcess = process): string[] {
  const script = real(argv[1] ?? '')
  const onPath = (env.PATH ?? '')
    .split(delimiter)
    .filter(directory => directory !== '')
    .map(directory => real(join(directory, 'sallyport')))
    .find(path => path !== undefined)
  if (onPath !== undefined && onPath === script) return ['sallyport']
  return [execPath, ...execArgv, script ?? argv[1] ?? 'sallyport']
}

/** undefined for a path that leads nowhere. */
function real(path: string): string | undefined {
  try {
    return realpathSync(path)
  } catch {
    return undefined
  }
}
