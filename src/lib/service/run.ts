import type {Config} from '../config/index.js'
import {catalogue} from '../errors/index.js'
import {addressLines} from './addresses.js'
import {createLogger} from './logger.js'
import {reloadAtHangUp} from './on-hang-up.js'
import {startService} from './start.js'
import {stopSignal} from './stop.js'

/**
 * How long sessions may go on after SIGTERM before they are ended: enough for a command to finish, well under the 90 s
 * after which systemd loses patience.
 */
const drainMilliseconds = 5000

export interface RunOptions {
  config: Config
  /** Reads the configuration again. */
  load: () => Promise<Config>
  version: string
  /** Called with each line for stdout when everything listens. */
  announce: (line: string) => void
}

/** `start`, from configuration to the end: resolves when SIGTERM or SIGINT has been answered in order. */
export async function runService({config, load, version, announce}: RunOptions): Promise<void> {
  const logger = createLogger(config.logSeverity, {nodename: config.nodename})
  for (const key of config.inertKeys) logger.warn({key}, 'this setting has no effect in this version')
  for (const key of config.unknownAlgorithms)
    logger.warn({key}, 'this algorithm is not known here and is passed over')
  // A terminal that is closed is whoever started this saying good-bye; a service has none.
  const hasTerminal = process.stdin.isTTY === true
  const stopping = stopSignal(() => process.exit(1), {hangUp: hasTerminal})
  // A bug leaves state nobody has thought about: end, and let the supervisor begin again from what is durable.
  process.on('uncaughtException', error => {
    logger.fatal({err: error}, 'unexpected error')
    process.exit(catalogue.internal)
  })
  const service = await startService({config, logger, version})
  if (!hasTerminal) reloadAtHangUp({load, apply: service.reload, logger})
  for (const line of addressLines(service.addresses)) announce(line)
  const {pid: _, ...addresses} = service.addresses
  logger.info({...addresses, version, ready_ms: Math.round(process.uptime() * 1000)}, 'ready')
  const signal = await stopping
  logger.info({signal}, 'stopping')
  await service.close(drainMilliseconds)
  logger.info('stopped')
}
