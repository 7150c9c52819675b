import type {EventEmitter} from 'node:events'
import type {Logger} from 'pino'
import type {Config} from '../config/index.js'
import {asProblem, problemLine} from '../errors/index.js'
import type {Reloaded} from './reload.js'

export interface HangUpOptions {
  /** Reads the configuration as the start did. */
  load(): Promise<Config>
  apply(config: Config): Promise<Reloaded>
  logger: Pick<Logger, 'info' | 'error'>
  emitter?: EventEmitter
}

/**
 * At SIGHUP reads the configuration again; one that cannot be used changes nothing. Signals that come meanwhile make one
 * more round.
 */
export function reloadAtHangUp({load, apply, logger, emitter = process}: HangUpOptions): void {
  let wanted = false
  let running = false
  const once = async (): Promise<void> => {
    try {
      const {applied, waiting} = await apply(await load())
      logger.info({applied}, 'the configuration was read again')
      if (waiting.length > 0) logger.info({settings: waiting}, 'changed, and count from the next start on')
    } catch (error) {
      const line = problemLine(asProblem(error))
      logger.error({error: line}, 'the configuration was not taken over: the one in force stays')
    }
  }
  const work = async (): Promise<void> => {
    running = true
    while (wanted) {
      wanted = false
      await once()
    }
    running = false
  }
  emitter.on('SIGHUP', () => {
    wanted = true
    if (!running) void work()
  })
}
