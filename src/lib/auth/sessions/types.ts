import type {HostRecord} from '../../access/hosts.js'
import type {JoinMode} from '../../access/join-policies.js'

// Sessions that run, and who takes part in them.

/** How somebody takes part in the session of another. */
export type ParticipantMode = JoinMode

export interface Participant {
  id: string
  user: string
  mode: ParticipantMode
  /** Unix ms. */
  joined: number
  lastActive: number
}

/** A session that runs now. Whoever holds it renews its tracker; one that is not renewed is gone after 30 minutes. */
export interface SessionTracker {
  sid: string
  kind: 'ssh'
  state: 'pending' | 'running' | 'terminated'
  /** Whose session it is. */
  user: string
  /** The roles of the user when it began. */
  roles: string[]
  login: string
  host: string
  /** The address dialled, `ip:port`. */
  address: string
  /** Of the host in the inventory, where it is one of it. */
  hostId?: string
  interactive: boolean
  /** The beginning of the command. */
  command?: string
  /** Unix ms. */
  started: number
  /** Those who have joined; whose session it is is not among them. */
  participants: Participant[]
  /** Of a pending session: who has to join before it goes on. */
  waitsFor?: string
  /** UUID of the machine whose proxy or node holds it, and its name for people. */
  heldBy: string
  holder: string
}

/** Somebody has ended the session; whoever holds it sees to that. */
export interface SessionEnding {
  sid: string
  by: string
  reason?: string
}

/** What the holder of a session needs to let somebody join it. */
export interface JoinPermit {
  tracker: SessionTracker
  /** The name and roles that whoever joins still has. */
  user: string
  roles: string[]
  /** Whoever joins shows a second factor first. */
  secondFactor?: true
  /** Whoever joins has to come with a certificate that is good from one address alone. */
  pinSourceIp?: true
  /** Unix ms at which whoever joins has to leave: the end of the certificate, where that ends connections. */
  until?: number
  /** For a proxy: the way to the machine that holds the session, where that is another one that the cluster knows. */
  way?: HolderWay
}

/** The second factor of a session, and which session that is, for the audit log. */
export interface SessionMfa {
  user: string
  /** As it was typed. */
  code: string
  /** `ip:port` of the user. */
  address: string
  login?: string
  server_hostname?: string
  /** Of a session that is joined. */
  sid?: string
}
/** How a proxy reaches a machine that holds sessions: a node of the inventory, or a proxy at `host:port`. */
export type HolderWay = {kind: 'node'; host: HostRecord} | {kind: 'proxy'; address: string}
