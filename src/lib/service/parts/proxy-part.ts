import {randomUUID} from 'node:crypto'
import {asProblem, problemLine} from '../../errors/index.js'
import {type Address, formatAddress, HOUR_MS} from '../../names/index.js'
import {type Proxy as SshProxy, startProxy} from '../../proxy/index.js'
import type {SessionHub} from '../../session/index.js'
import {proxyNames} from '../addresses.js'
import type {AuthLink} from '../auth-link.js'
import {listening} from '../listening.js'
import {keepPlace} from '../proxy-place.js'
import type {Part} from './part.js'

/** Starts the SSH front. `webPorts` are those of this machine that nobody is led to. */
export async function startProxyPart(
  part: Part,
  link: AuthLink,
  hub: SessionHub,
  webPorts: () => number[],
): Promise<SshProxy> {
  const {config, hostId, logger, now, resources, drain} = part
  const {clusterName, recording, checkHostKeys, keepAliveMilliseconds} = link.cluster
  const proxy = await listening(
    [
      place('the SSH proxy', config.proxy.listen, 'listen_addr'),
      place('the tunnel port', config.proxy.tunnelListen, 'tunnel_listen_addr'),
    ],
    startProxy({
      listen: config.proxy.listen,
      // By its UUID it is asked for sessions that it holds.
      names: [...proxyNames(config, clusterName), hostId],
      hostId,
      proxyId: config.nodename,
      mode: recording,
      recording: recording === 'proxy' || recording === 'proxy-sync',
      ...{clusterName, checkHostKeys, keepAliveMilliseconds},
      dial: config.proxy.dial,
      ownPorts: webPorts,
      maxConnections: config.limits.maxConnections,
      algorithms: config.algorithms,
      auth: link.as('proxy'),
      ...link.beginning?.('proxy'),
      hub,
      serveApi: link.serveApi,
      tunnelListen: config.proxy.tunnelListen,
      dialAuth: link.dialAuth,
      log: logger,
      now,
      sessionId: randomUUID,
    }),
  )
  resources.add('proxy', () => proxy.close(drain.milliseconds))
  resources.add('place of the proxy', keepPlace(part, link, proxy.address))
  if (link.hostNames) resources.add('spare host certificates', keepSpares(part, proxy, link.hostNames))
  return proxy
}

/** Prepares the proxy, at once and each hour, for a time without the auth service. Returns how to stop. */
function keepSpares({logger}: Part, proxy: SshProxy, hostNames: () => string[][]): () => void {
  const keep = (): void => {
    proxy
      .keepSpares(hostNames())
      .catch(error => logger.warn({error: problemLine(asProblem(error))}, 'no spare host certificates'))
  }
  const timer = setInterval(keep, HOUR_MS).unref()
  keep()
  return () => clearInterval(timer)
}

const place = (what: string, address: Address, setting: string) => ({
  ...{what, address: formatAddress(address), setting: `proxy_service.${setting}`},
})
