import {Readable, Writable} from 'node:stream'
import {type HostRecord, isOnline} from '../../access/hosts.js'
import {asProblem, problem, problemLine} from '../../errors/index.js'
import {mapParallel} from '../../waiting/index.js'
import {connectAuthThroughProxy} from '../api/auth-through-proxy.js'
import type {Identity, IdentityOptions} from '../identity/identity.js'
import {labelText} from '../resources/hosts.js'
import {createChannelRouter} from './channel-router.js'
import {connectionFailedStatus, runRemoteSession} from './remote-session.js'
import {connectToTarget} from './target-connection.js'

/** Each is a login at the proxy and another at the host; more at a time would look like an attack to both. */
const maxParallel = 8
/** A line longer than this is passed on in pieces. */
const maxLineBytes = 64 * 1024

export interface ManyHosts {
  identity: Identity
  hosts: readonly HostRecord[]
  login: string
  command: string
  cluster?: string | undefined
  insecure: boolean
  stdout: Writable
  stderr: Writable
  env: NodeJS.ProcessEnv
  /** Unix ms at the cluster. */
  now: number
}

/**
 * The hosts with these labels that the user may reach, and the time at the cluster.
 * @throws host_not_found for none
 */
export async function hostsWithLabels(
  options: IdentityOptions,
  labels: Record<string, string>,
): Promise<{hosts: HostRecord[]; now: number}> {
  const {api, close} = await connectAuthThroughProxy(options)
  try {
    const [{time}, hosts] = await Promise.all([api.ping(), api.listHosts({labels})])
    if (hosts.length > 0) return {hosts, now: time}
    throw problem(
      'host_not_found',
      `there is no host with ${labelText(labels)} among those that you may reach`,
      {
        hint: '`sallyport ls` shows them',
      },
    )
  } finally {
    await close()
  }
}

/**
 * Runs a command on every one of the hosts, a few at a time; each line of output says which host it is from. Nobody gets
 * the standard input.
 * @returns the first exit status that is not 0, in the order of the hosts; 255 for a host that was not reached
 */
export async function runOnMany(options: ManyHosts): Promise<number> {
  const statuses = await mapParallel(options.hosts, maxParallel, host => runOnOne(options, host))
  return statuses.find(status => status !== 0) ?? 0
}

async function runOnOne(options: ManyHosts, host: HostRecord): Promise<number> {
  const {hosts, identity, login, command, cluster, insecure, env} = options
  const twins = hosts.filter(({hostname}) => hostname === host.hostname).length > 1
  const label = twins ? `${host.hostname} ${host.id}` : host.hostname
  const [stdout, stderr] = [prefixed(options.stdout, label), prefixed(options.stderr, label)]
  try {
    if (!isOnline(host, options.now)) throw isOffline(host)
    const reached = await connectToTarget({
      ...{identity, login, cluster, insecure},
      ...{host: host.id, otherNames: [host.hostname], port: undefined},
    })
    try {
      return await runRemoteSession({
        ...{connection: reached.connection, router: createChannelRouter(reached.connection), command, env},
        ...{terminal: false, stdin: Readable.from([]), stdout, stderr},
      })
    } finally {
      reached.close()
    }
  } catch (error) {
    stderr.write(`sallyport: ${problemLine(asProblem(error))}\n`)
    return connectionFailedStatus
  } finally {
    await Promise.all([stdout, stderr].map(ended))
  }
}

const isOffline = ({lastSeen = 0}: HostRecord) =>
  problem('host_unreachable', `it is offline: it was last heard of at ${new Date(lastSeen).toISOString()}`)

const ended = (stream: Writable): Promise<void> => new Promise(resolve => stream.end(resolve))

/** Puts `label: ` before each line, and writes whole lines alone: those of several hosts do not run into each other. */
export function prefixed(sink: Writable, label: string): Writable {
  const prefix = Buffer.from(`${label}: `)
  let rest = Buffer.alloc(0)
  const pass = (parts: Buffer[], done: (error?: Error | null) => void): void => {
    if (parts.length === 0) return done()
    sink.write(Buffer.concat(parts), done)
  }
  return new Writable({
    write(chunk: Buffer | string, _encoding, done) {
      const data = Buffer.concat([rest, Buffer.from(chunk)])
      const parts: Buffer[] = []
      let from = 0
      for (let at = data.indexOf(10); at !== -1; at = data.indexOf(10, from)) {
        parts.push(prefix, data.subarray(from, at + 1))
        from = at + 1
      }
      rest = data.subarray(from)
      if (rest.length > maxLineBytes) {
        parts.push(prefix, rest, Buffer.from('\n'))
        rest = Buffer.alloc(0)
      }
      pass(parts, done)
    },
    final(done) {
      pass(rest.length > 0 ? [prefix, rest, Buffer.from('\n')] : [], done)
    },
  })
}
