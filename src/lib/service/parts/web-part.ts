import {formatAddress} from '../../names/index.js'
import type {Proxy as SshProxy} from '../../proxy/index.js'
import {loadTls, startWeb, type WebServer, type WebTls} from '../../web/index.js'
import {proxyNames, publicSshAddress, publicWebUrl} from '../addresses.js'
import type {AuthLink} from '../auth-link.js'
import type {Part} from './part.js'

/** Starts the web API and the pages of a proxy. */
export async function startWebPart(part: Part, link: AuthLink, proxy: SshProxy): Promise<WebServer> {
  const {config, logger, now, resources} = part
  const {clusterName} = link.cluster
  const tls = await webTls(part, link)
  const web = await startWeb({
    ...{listen: config.proxy.webListen, tls, clusterName, logger, now},
    auth: link.web,
    sshAddress: () => formatAddress(proxy.address),
    sshPublicAddress: publicSshAddress(config),
    publicUrl: publicWebUrl(config),
  })
  resources.add('web', web.close)
  link.announce?.(web.url)
  return web
}

/** What HTTPS is served with. @throws config_invalid */
export function webTls({config, logger, now}: Part, {cluster}: AuthLink): Promise<WebTls> {
  const {httpsCertFile: certFile, httpsKeyFile: keyFile} = config.proxy
  const names = proxyNames(config, cluster.clusterName)
  return loadTls({dataDir: config.dataDir, certFile, keyFile, names, logger, now})
}
