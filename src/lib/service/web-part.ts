import {formatAddress} from '../config/index.js'
import type {Proxy as SshProxy} from '../proxy/index.js'
import {loadTls, startWeb, type WebServer} from '../web/index.js'
import {proxyNames, publicSshAddress, publicWebUrl} from './addresses.js'
import type {AuthLink} from './auth-link.js'
import type {Part} from './part.js'

/** Starts the web API and the pages of a proxy. */
export async function startWebPart(part: Part, link: AuthLink, proxy: SshProxy): Promise<WebServer> {
  const {config, logger, now, resources} = part
  const {clusterName} = link.cluster
  const {httpsCertFile: certFile, httpsKeyFile: keyFile, webListen: listen} = config.proxy
  const names = proxyNames(config, clusterName)
  const tls = await loadTls({dataDir: config.dataDir, certFile, keyFile, names, logger, now})
  const web = await startWeb({
    ...{listen, tls, clusterName, logger, now},
    auth: link.web,
    sshAddress: () => formatAddress(proxy.address),
    sshPublicAddress: publicSshAddress(config),
    publicUrl: publicWebUrl(config),
  })
  resources.add('web', web.close)
  link.announce?.(web.url)
  return web
}
