import type {Logger} from 'pino'
import type {Config} from '../../config/index.js'
import type {Health} from '../health.js'
import type {Resources} from '../resources.js'

/** What every role of a process is started with. */
export interface Part {
  config: Config
  logger: Logger
  version: string
  /** Unix ms. */
  now: () => number
  resources: Resources
  /** UUID of this machine. */
  hostId: string
  health: Health
  /** Set when the service begins to stop: how long sessions may go on. */
  drain: {milliseconds: number}
}
