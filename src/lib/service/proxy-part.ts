import {randomUUID} from 'node:crypto'
import {formatAddress} from '../config/index.js'
import {type Proxy as SshProxy, startProxy} from '../proxy/index.js'
import {proxyNames} from './addresses.js'
import type {AuthLink} from './auth-link.js'
import {listening} from './listening.js'
import type {Part} from './part.js'

/** Starts the SSH front. `webPorts` are those of this machine that nobody is led to. */
export async function startProxyPart(
  part: Part,
  link: AuthLink,
  webPorts: () => number[],
): Promise<SshProxy> {
  const {config, hostId, logger, now, resources, drain} = part
  const {clusterName, recording, checkHostKeys, keepAliveMilliseconds} = link.cluster
  const proxy = await listening(
    'the SSH proxy',
    {address: formatAddress(config.proxy.listen), setting: 'proxy_service.listen_addr'},
    startProxy({
      listen: config.proxy.listen,
      names: proxyNames(config, clusterName),
      hostId,
      proxyId: config.nodename,
      recording: recording === 'proxy' || recording === 'proxy-sync',
      ...{clusterName, checkHostKeys, keepAliveMilliseconds},
      dial: config.proxy.dial,
      ownPorts: webPorts,
      maxConnections: config.limits.maxConnections,
      algorithms: config.algorithms,
      auth: link.as('proxy'),
      serveApi: link.serveApi,
      log: logger,
      now,
      sessionId: randomUUID,
    }),
  )
  resources.add('proxy', () => proxy.close(drain.milliseconds))
  return proxy
}
