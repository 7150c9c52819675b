import {isDeepStrictEqual} from 'node:util'
import type {Logger} from 'pino'
import type {Config} from '../config/index.js'
import type {Proxy as SshProxy} from '../proxy/index.js'
import type {WebServer, WebTls} from '../web/index.js'

/** The parts of a running service that a new configuration reaches. */
export interface Reloadable {
  logger: Pick<Logger, 'level'>
  proxy?: Pick<SshProxy, 'useDialRules'>
  web?: Pick<WebServer, 'useCertificate'>
  /** What HTTPS is to be served with. @throws config_invalid */
  loadTls(config: Config): Promise<WebTls>
}

/** Settings that take effect while the service runs; the files of the HTTPS certificate are read again as well. */
const live: ReadonlySet<string> = new Set([
  'logSeverity',
  'proxy.dial.allow',
  'proxy.dial.deny',
  'proxy.httpsKeyFile',
  'proxy.httpsCertFile',
])

export interface Reloaded {
  /** Settings, as the configuration's fields are called, that changed and count from now on. */
  applied: string[]
  /** Those that changed and wait for the next start. */
  waiting: string[]
}

/**
 * Takes over what can change while the service runs. Everything is checked first: when it throws, nothing has changed.
 * @throws config_invalid
 */
export async function takeOver(running: Reloadable, old: Config, next: Config): Promise<Reloaded> {
  const tls = running.web ? await running.loadTls(next) : undefined
  running.proxy?.useDialRules(next.proxy.dial)
  if (tls) running.web?.useCertificate(tls)
  running.logger.level = next.logSeverity
  const changed = differences(old, next)
  return {
    applied: changed.filter(setting => live.has(setting)),
    waiting: changed.filter(setting => !live.has(setting)),
  }
}

/** Paths of the values that differ; a list is one value. */
export function differences(a: unknown, b: unknown, path: readonly string[] = []): string[] {
  if (isDeepStrictEqual(a, b)) return []
  if (!isRecord(a) || !isRecord(b)) return [path.join('.')]
  const keys = new Set([...Object.keys(a), ...Object.keys(b)])
  return [...keys].flatMap(key => differences(a[key], b[key], [...path, key]))
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
