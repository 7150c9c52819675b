import {joinLogin} from '../access/join-policies.js'
import type {LockSubject} from '../access/locks.js'
import type {Identity} from '../access/types.js'
import {asProblem, problem, problemLine, type SallyportError} from '../errors/index.js'
import {type Ends, explainOn, personOf, type ServedClient, seatClient, trackWork} from '../session/index.js'
import {type Channel, openFailure, type SshConnection} from '../ssh/index.js'
import {WireReader} from '../sshcert/index.js'
import type {NodeSettings} from './types.js'

/** Somebody whose certificate is good, and who gets no login on this host: they may join sessions that run here. */
export interface Joiner {
  connection: SshConnection
  identity: Identity
  /** The certificate is good from the client's address alone. */
  pinned: boolean
}

/** More windows than anybody looks at. */
const maxSeats = 10

/** Whether a user name at login means that somebody comes to join. */
export const comesToJoin = (username: string): boolean => username === joinLogin

/** Whether somebody may ask to join anything. Which sessions, the auth service decides for each. @throws access_denied */
export function judgeJoiner(settings: NodeSettings, identity: Identity): undefined {
  settings.locks.check(subjectOf(settings, identity), 'best_effort')
}

const subjectOf = ({hostId, nodename}: NodeSettings, identity: Identity): LockSubject => ({
  ...personOf(identity),
  nodes: [hostId, nodename],
})

/** Serves somebody who has come to join sessions of this node: channels for that, and nothing else. */
export function serveJoiner(
  settings: NodeSettings,
  {connection, identity, pinned}: Joiner,
  peer: Pick<Ends, 'remoteAddress'>,
): ServedClient {
  const {locks, log, graceMilliseconds} = settings
  const client = {identity, pinned, remoteAddress: peer.remoteAddress}
  const work = trackWork()
  const seats = new Set<Channel>()
  let ended: SallyportError | undefined
  let idle: NodeJS.Timeout | undefined

  const end = (error: SallyportError): void => {
    if (ended) return
    ended = error
    connection.fail(error)
  }
  /** Who sits nowhere has no reason to stay. */
  const lookAtSeats = (): void => {
    clearTimeout(idle)
    if (seats.size === 0) idle = setTimeout(() => connection.disconnect(), graceMilliseconds).unref()
  }
  const refuse = (channel: Channel, error: SallyportError): void => {
    for (const stream of [channel, channel.stderr]) stream.resume()
    explainOn(channel, error)
  }
  const seat = async (channel: Channel, subsystem: Buffer | undefined): Promise<void> => {
    if (ended) throw ended
    const [, words] = /^join:(.*)$/s.exec(subsystem ? new WireReader(subsystem).text() : '') ?? []
    if (words === undefined) throw joinsOnly()
    // A session of another machine is none that this one could show.
    if (await seatClient({...settings, track: work.track}, client, words, channel)) throw notHere()
  }

  connection.onChannelOpen = open => {
    if (open.type !== 'session' || ended || seats.size >= maxSeats)
      return open.reject(
        openFailure.administrativelyProhibited,
        'this connection is for joining sessions alone',
      )
    const channel = open.accept()
    seats.add(channel)
    lookAtSeats()
    channel.onClosed = () => {
      seats.delete(channel)
      lookAtSeats()
    }
    let asked = false
    channel.onRequest = ({type, data, reply}) => {
      // A terminal makes stock clients send each key as it is typed, which is what joining wants.
      if (type === 'env' || (type === 'pty-req' && !asked)) return reply(true)
      if (asked || (type !== 'subsystem' && type !== 'shell' && type !== 'exec')) return reply(false)
      asked = true
      reply(true)
      const asks = type === 'subsystem' ? data : undefined
      work.track(seat(channel, asks).catch(error => refuse(channel, asProblem(error))))
    }
  }
  connection.onGlobalRequest = () => false
  let unwatch = (): void => undefined
  try {
    unwatch = locks.watch({subject: () => subjectOf(settings, identity), strictness: 'best_effort', end})
  } catch (error) {
    end(asProblem(error))
  }
  lookAtSeats()
  void connection.closed.then(error => {
    unwatch()
    clearTimeout(idle)
    if (error) log.info({user: identity.user, error: problemLine(error)}, 'connection broke')
  })
  return {done: connection.closed.then(() => work.idle()), end}
}

const joinsOnly = (): SallyportError =>
  problem('usage', 'this connection is for joining sessions alone', {
    hint: `name a login in place of ${joinLogin} for anything else`,
  })

const notHere = (): SallyportError => problem('not_found', 'the session does not run here')
