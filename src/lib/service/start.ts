import {rm} from 'node:fs/promises'
import type {Logger} from 'pino'
import type {Config} from '../config/index.js'
import {writeFileAtomic} from '../durable/index.js'
import {nativeCiphersAvailable} from '../ssh/index.js'
import type {WebServer} from '../web/index.js'
import {type Addresses, writeAddresses} from './addresses.js'
import {startPresenceSocket} from './admin-socket.js'
import {type AuthLink, localLink} from './auth-link.js'
import {addressesFile, prepareDataDir} from './data-dir.js'
import {startDiagnostics} from './diagnostics.js'
import {createHealth} from './health.js'
import {hostUuid} from './identity/host-uuid.js'
import {startAdministration, startAuthPart} from './parts/auth-part.js'
import {startHubPart} from './parts/hub-part.js'
import {startNodePart} from './parts/node-part.js'
import type {Part} from './parts/part.js'
import {startProxyPart} from './parts/proxy-part.js'
import {startWatchPart} from './parts/watch-part.js'
import {startWebPart, webTls} from './parts/web-part.js'
import {type Reloadable, type Reloaded, takeOver} from './reload.js'
import {openRemoteAuth} from './remote-auth.js'
import {createResources} from './resources.js'

export interface StartOptions {
  config: Config
  logger: Logger
  version: string
  /** Unix ms. */
  now?: () => number
}

export interface Service {
  addresses: Addresses
  /** Takes over what of a configuration can change now. @throws config_invalid, and nothing has changed */
  reload(config: Config): Promise<Reloaded>
  /** Takes no new sessions, gives running ones this long, ends them, seals their recordings, closes everything. */
  close(drainMilliseconds: number): Promise<void>
}

/**
 * Starts every role of the configuration in this process; resolves when all of them listen. What had been started is
 * closed again when one of them cannot.
 * @throws config_invalid, store_failed, already_running
 */
export async function startService({
  config,
  logger,
  version,
  now = Date.now,
}: StartOptions): Promise<Service> {
  if (!nativeCiphersAvailable()) logger.warn('ssh2 was installed without its native part: ciphers are slower')
  await prepareDataDir(config.dataDir)
  const resources = createResources()
  const hostId = await hostUuid(config.dataDir)
  const health = createHealth()
  const part: Part = {config, logger, version, now, resources, hostId, health, drain: {milliseconds: 0}}
  try {
    const diagnostics = await startDiagnosticsPart(part)
    const {addresses: roles, begin, reach} = await startRoles(part)
    const addresses = {...roles, ...diagnostics}
    await writeFiles(part, addresses)
    health.open = true
    begin()
    return {
      addresses,
      reload: next => takeOver(reach, config, next),
      async close(milliseconds) {
        health.open = false
        part.drain.milliseconds = milliseconds
        await resources.close(logger)
      },
    }
  } catch (thrown) {
    await resources.close(logger)
    throw thrown
  }
}

async function startDiagnosticsPart({config, health, resources}: Part) {
  if (!config.diagnostics) return {}
  const diagnostics = await startDiagnostics(config.diagnostics, health)
  resources.add('diagnostics', diagnostics.close)
  return {diagnostics: diagnostics.address}
}

/** `begin` is called when everything is ready: what is done in the background. */
async function startRoles(part: Part): Promise<{addresses: Addresses; begin(): void; reach: Reloadable}> {
  const {config} = part
  let web: WebServer | undefined
  const auth = config.roles.includes('auth') ? await startAuthPart(part, () => web?.url) : undefined
  const link = auth ? localLink(part, auth.room, auth.listen) : await joinAuth(part)
  const hub = await startHubPart(part, link)
  const proxy =
    hub && config.roles.includes('proxy')
      ? await startProxyPart(part, link, hub, () => (web ? [web.address.port] : []))
      : undefined
  if (proxy) web = await startWebPart(part, link, proxy)
  const node = hub && config.roles.includes('node') ? await startNodePart(part, link, hub) : undefined
  const socket = auth && (await startAdministration(part, auth.room))
  if (auth) await startWatchPart(part, auth.room.service.as({kind: 'admin'}), hub)
  const addresses = {
    pid: process.pid,
    cluster: link.cluster.clusterName,
    ...(auth && socket !== undefined ? {auth: {socket, ...auth.listen}} : {}),
    ...(proxy ? {ssh: proxy.address, tunnel: proxy.tunnelAddress} : {}),
    ...(web ? {web: {...web.address, url: web.url}} : {}),
    ...(node ? {node: node.address} : {}),
  }
  const reach: Reloadable = {
    ...{logger: part.logger, ...(proxy && {proxy}), ...(web && {web})},
    loadTls: next => webTls({...part, config: next}, link),
  }
  return {addresses, begin: () => auth?.room.completeSessions(), reach}
}

async function joinAuth(part: Part): Promise<AuthLink> {
  const {config, health} = part
  const presence = await startPresenceSocket(config.dataDir, () => `${JSON.stringify(health.told())}\n`)
  part.resources.add('presence', presence.close)
  return openRemoteAuth(part)
}

async function writeFiles({config, resources}: Part, addresses: Addresses): Promise<void> {
  await writeAddresses(config.dataDir, addresses)
  resources.add('addresses', () => rm(addressesFile(config.dataDir), {force: true}))
  const {pidFile} = config
  if (pidFile === undefined) return
  await writeFileAtomic(pidFile, `${process.pid}\n`, {mode: 0o644})
  resources.add('pid file', () => rm(pidFile, {force: true}))
}
