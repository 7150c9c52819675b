import {randomUUID} from 'node:crypto'
import {rm} from 'node:fs/promises'
import type {Logger} from 'pino'
import {type Config, formatAddress} from '../config/index.js'
import {writeFileAtomic} from '../durable/index.js'
import {problem} from '../errors/index.js'
import type {Node} from '../node/index.js'
import {type Proxy as SshProxy, startProxy} from '../proxy/index.js'
import {nativeCiphersAvailable} from '../ssh/index.js'
import {loadTls, startWeb, type WebServer} from '../web/index.js'
import {type Addresses, proxyNames, publicSshAddress, publicWebUrl, writeAddresses} from './addresses.js'
import {startAdminSocket} from './admin-socket.js'
import {type AuthRoom, openAuth} from './auth.js'
import {addressesFile, prepareDataDir} from './data-dir.js'
import {startDiagnostics} from './diagnostics.js'
import {hostUuid} from './host-uuid.js'
import {listening} from './listening.js'
import {startNodePart} from './node.js'
import {createResources, type Resources} from './resources.js'

export interface StartOptions {
  config: Config
  logger: Logger
  version: string
  /** Unix ms. */
  now?: () => number
}

export interface Service {
  addresses: Addresses
  /** Takes no new sessions, gives running ones this long, ends them, seals their recordings, closes everything. */
  close(drainMilliseconds: number): Promise<void>
}

interface Part {
  config: Config
  logger: Logger
  now: () => number
  resources: Resources
  /** Set when `close` begins. */
  drain: {milliseconds: number}
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
  assertAvailable(config)
  if (!nativeCiphersAvailable()) logger.warn('ssh2 was installed without its native part: ciphers are slower')
  await prepareDataDir(config.dataDir)
  const resources = createResources()
  const part: Part = {config, logger, now, resources, drain: {milliseconds: 0}}
  let ready = false
  try {
    const diagnostics = await startDiagnosticsPart(part, () => ready)
    const {auth, addresses: roles} = await startRoles(part, version)
    const addresses = {...roles, ...diagnostics}
    await writeFiles(part, addresses)
    ready = true
    auth.completeSessions()
    return {
      addresses,
      async close(milliseconds) {
        ready = false
        part.drain.milliseconds = milliseconds
        await resources.close(logger)
      },
    }
  } catch (thrown) {
    await resources.close(logger)
    throw thrown
  }
}

function assertAvailable({roles}: Config): void {
  if (!roles.includes('auth'))
    throw problem(
      'config_invalid',
      'a proxy or node without the auth service in the same process is not part of this version',
      {
        hint: 'start all of them: --roles=auth,proxy,node',
      },
    )
}

async function startDiagnosticsPart({config, resources}: Part, ready: () => boolean) {
  if (!config.diagnostics) return {}
  const diagnostics = await startDiagnostics(config.diagnostics, ready)
  resources.add('diagnostics', diagnostics.close)
  return {diagnostics: diagnostics.address}
}

async function startRoles(part: Part, version: string): Promise<{auth: AuthRoom; addresses: Addresses}> {
  const {config, logger, now, resources} = part
  let web: WebServer | undefined
  const auth = await openAuth({config, logger, version, now, webUrl: () => web?.url})
  resources.add('auth', auth.close)
  const proxy = config.roles.includes('proxy')
    ? await startProxyPart(part, auth, () => (web ? [web.address.port] : []))
    : undefined
  if (proxy) web = await startWebPart(part, auth, proxy)
  const node = config.roles.includes('node') ? await startNodeRole(part, auth, version) : undefined
  const socket = await startAdminSocket(config.dataDir, connection => auth.serve(connection, {kind: 'admin'}))
  resources.add('administration socket', socket.close)
  const addresses = {
    pid: process.pid,
    cluster: config.auth.clusterName,
    auth: {socket: socket.path},
    ...(proxy ? {ssh: proxy.address} : {}),
    ...(web ? {web: {...web.address, url: web.url}} : {}),
    ...(node ? {node: node.address} : {}),
  }
  return {auth, addresses}
}

async function startProxyPart(part: Part, auth: AuthRoom, webPorts: () => number[]): Promise<SshProxy> {
  const {config, logger, now, resources, drain} = part
  const where = {address: formatAddress(config.proxy.listen), setting: 'proxy_service.listen_addr'}
  const {sessionRecording, clusterName} = config.auth
  const proxy = await listening(
    'the SSH proxy',
    where,
    startProxy({
      listen: config.proxy.listen,
      names: proxyNames(config),
      clusterName,
      proxyId: config.nodename,
      recording: sessionRecording === 'proxy' || sessionRecording === 'proxy-sync',
      checkHostKeys: config.auth.proxyChecksHostKeys,
      dial: config.proxy.dial,
      ownPorts: webPorts,
      maxConnections: config.limits.maxConnections,
      keepAliveMilliseconds: config.auth.keepAliveIntervalMs,
      algorithms: config.algorithms,
      auth: auth.service.as({kind: 'system', role: 'proxy'}),
      serveApi: auth.serve,
      log: logger,
      now,
      sessionId: randomUUID,
    }),
  )
  resources.add('proxy', () => proxy.close(drain.milliseconds))
  return proxy
}

async function startNodeRole(part: Part, auth: AuthRoom, version: string): Promise<Node> {
  const {config, logger, now, resources, drain} = part
  const hostId = await hostUuid(config.dataDir)
  const api = auth.service.as({kind: 'system', role: 'node', hostId})
  const node = await startNodePart({config, logger, version, now, auth: api, hostId})
  resources.add('node', () => node.close(drain.milliseconds))
  return node
}

async function startWebPart(part: Part, auth: AuthRoom, proxy: SshProxy): Promise<WebServer> {
  const {config, logger, now, resources} = part
  const {httpsCertFile: certFile, httpsKeyFile: keyFile, webListen: listen} = config.proxy
  const names = proxyNames(config)
  const tls = await loadTls({dataDir: config.dataDir, certFile, keyFile, names, logger, now})
  const web = await startWeb({
    listen,
    tls,
    auth: auth.service,
    clusterName: config.auth.clusterName,
    sshAddress: () => formatAddress(proxy.address),
    sshPublicAddress: publicSshAddress(config),
    publicUrl: publicWebUrl(config),
    logger,
    now,
  })
  resources.add('web', web.close)
  return web
}

async function writeFiles({config, resources}: Part, addresses: Addresses): Promise<void> {
  await writeAddresses(config.dataDir, addresses)
  resources.add('addresses', () => rm(addressesFile(config.dataDir), {force: true}))
  const {pidFile} = config
  if (pidFile === undefined) return
  await writeFileAtomic(pidFile, `${process.pid}\n`, {mode: 0o644})
  resources.add('pid file', () => rm(pidFile, {force: true}))
}
