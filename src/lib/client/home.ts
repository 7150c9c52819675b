import {homedir} from 'node:os'
import {join} from 'node:path'

/** Where a user's profiles live: SALLYPORT_HOME, its TELEPORT_ spelling, or `~/.sallyport`. */
export const clientHome = (env: NodeJS.ProcessEnv = process.env): string =>
  env.SALLYPORT_HOME || env.TELEPORT_HOME || join(homedir(), '.sallyport')
