import {z} from 'zod'
import {readAll} from '../../auth/http/wire.js'
import {problem} from '../../errors/index.js'
import type {SshConnection} from '../../ssh/index.js'
import {parseAuthorizedKey, WireWriter} from '../../sshcert/index.js'

/** A cluster whose hosts can be reached through the proxy: its own, and those that let its users in. */
export interface ReachableCluster {
  name: string
  /** offline: it keeps no tunnel open to this proxy. */
  status: 'online' | 'offline'
  /** Plain public key blobs of the authorities that vouch for its hosts. */
  hostAuthorities: Buffer[]
}

const maxAnswerBytes = 1024 * 1024

const answerSchema = z.array(
  z.object({
    name: z.string().max(255),
    status: z.enum(['online', 'offline']),
    host_authorities: z.array(z.string().max(8192)).max(16),
  }),
)

/** Asks the proxy by its subsystem `proxysites`, its own cluster first. @throws protocol_error, proxy_refused */
export async function listClusters(proxy: SshConnection): Promise<ReachableCluster[]> {
  const channel = await proxy.openChannel('session')
  channel.stderr.resume()
  if (!(await channel.request('subsystem', new WireWriter().string('proxysites').finish())))
    throw problem('proxy_refused', 'the proxy refused to say which clusters it reaches')
  const answer = await readAll(channel, maxAnswerBytes, 'the list of clusters is over 1 MB')
  return readAnswer(answer.toString('utf8'))
}

function readAnswer(text: string): ReachableCluster[] {
  try {
    return answerSchema.parse(JSON.parse(text)).map(({name, status, host_authorities: lines}) => ({
      ...{name, status},
      hostAuthorities: lines.map(line => parseAuthorizedKey(line).blob),
    }))
  } catch (cause) {
    throw problem('protocol_error', 'the proxy answered with something that is no list of clusters', {cause})
  }
}
