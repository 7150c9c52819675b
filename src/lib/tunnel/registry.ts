import {problem, type SallyportError} from '../errors/index.js'
import {type Channel, ChannelRefused, type SshConnection} from '../ssh/index.js'
import type {TunnelPeer} from './peer.js'

/** Which tunnels are open, by who keeps them. */
export interface Registry {
  add(peer: TunnelPeer, connection: SshConnection): void
  has(peer: TunnelPeer): boolean
  clusters(): string[]
  /** @throws host_unreachable */
  open(peer: TunnelPeer, type: string, data: Buffer): Promise<Channel>
  /** Ends all of them. */
  end(): void
}

/** A peer that comes again before its old tunnel is known to be dead has two for a while; more are a mistake of its own. */
const maxTunnelsOfPeer = 8
/** A tunnel whose other end no longer answers is given up sooner than its keep-alive would. */
const openMilliseconds = 10_000

export function createRegistry(): Registry {
  const tunnels = new Map<string, SshConnection[]>()
  const list = (peer: TunnelPeer): readonly SshConnection[] => tunnels.get(keyOf(peer)) ?? []
  const remove = (peer: TunnelPeer, connection: SshConnection): void => {
    const rest = list(peer).filter(one => one !== connection)
    if (rest.length > 0) tunnels.set(keyOf(peer), rest)
    else tunnels.delete(keyOf(peer))
  }
  return {
    add(peer, connection) {
      // The newest is asked first: it is the one that its keeper believes in.
      const all = [connection, ...list(peer)]
      tunnels.set(keyOf(peer), all.slice(0, maxTunnelsOfPeer))
      for (const one of all.slice(maxTunnelsOfPeer)) one.disconnect()
      void connection.closed.then(() => remove(peer, connection))
    },
    has: peer => tunnels.has(keyOf(peer)),
    clusters: () =>
      [...tunnels.keys()].flatMap(key => (key.startsWith('cluster ') ? [key.slice('cluster '.length)] : [])),
    async open(peer, type, data) {
      let failure: unknown
      for (const connection of list(peer)) {
        try {
          return await within(openMilliseconds, connection.openChannel(type, data))
        } catch (error) {
          failure = error
          // An answer, though a refusal: the tunnel works, and another one would say the same.
          if (error instanceof ChannelRefused) break
          connection.disconnect()
          remove(peer, connection)
        }
      }
      throw unreachable(peer, failure)
    },
    end() {
      for (const all of tunnels.values()) for (const connection of all) connection.disconnect()
    },
  }
}

const keyOf = (peer: TunnelPeer): string =>
  peer.kind === 'node' ? `node ${peer.id}` : `cluster ${peer.name}`

function unreachable(peer: TunnelPeer, cause: unknown): SallyportError {
  const who = peer.kind === 'node' ? `the node ${peer.id}` : `the cluster ${peer.name}`
  if (cause instanceof ChannelRefused)
    return problem('host_unreachable', `${who} refused the connection: ${cause.description}`, {cause})
  return problem('host_unreachable', `${who} keeps no tunnel open to this proxy`, {
    hint: 'see its log for why it cannot reach the tunnel port, and whether it connects to another proxy',
    cause,
  })
}

async function within(milliseconds: number, opening: Promise<Channel>): Promise<Channel> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(problem('timeout', 'the tunnel does not answer')), milliseconds)
  })
  try {
    return await Promise.race([opening, late])
  } catch (error) {
    // It may still be opened, for nobody.
    void opening.then(
      channel => channel.close(),
      () => undefined,
    )
    throw error
  } finally {
    clearTimeout(timer)
  }
}
