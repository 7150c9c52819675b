/** Event codes, as the users of Teleport's audit log know them; the last letter is I(nfo), W(arning) or E(rror). */
export const eventCodes = {
  'user.login': {ok: 'T1000I', failed: 'T1000W'},
  'user.create': {ok: 'T1002I'},
  'user.update': {ok: 'T1003I'},
  'user.delete': {ok: 'T1004I'},
  'user.password_change': {ok: 'T1005I', failed: 'T1005W'},
  'user.lock': {ok: 'TLK02I'},
  'user.unlock': {ok: 'TLK03I'},
  'mfa.add': {ok: 'T1006I'},
  /** The code that `require_session_mfa` asks for. */
  'mfa_auth_challenge.validate': {ok: 'T1016I', failed: 'T1016W'},
  'reset_password_token.create': {ok: 'T6000I'},
  'trusted_cluster.create': {ok: 'T7000I', failed: 'T7000W'},
  'trusted_cluster.delete': {ok: 'T7001I'},
  'join_token.create': {ok: 'TJT00I'},
  'join_token.delete': {ok: 'TJT01I'},
  /** A machine joined the cluster, or tried to. */
  'instance.join': {ok: 'TJ002I', failed: 'TJ002E'},
  /** A proxy said where users reach its web port; the links of invitations lead there. */
  'proxy.announce': {ok: 'TPX00I'},
  'role.created': {ok: 'T9000I'},
  'role.deleted': {ok: 'T9001I'},
  'role.updated': {ok: 'T9002I'},
  'node.created': {ok: 'TND00I'},
  'node.updated': {ok: 'TND01I'},
  'node.deleted': {ok: 'TND02I'},
  'lock.created': {ok: 'TLK00I'},
  'lock.deleted': {ok: 'TLK01I'},
  'cert.create': {ok: 'TC000I', failed: 'TC000W'},
  'session.start': {ok: 'T2000I'},
  'session.join': {ok: 'T2001I', failed: 'T2001W'},
  resize: {ok: 'T2002I'},
  'session.leave': {ok: 'T2003I'},
  'session.end': {ok: 'T2004I'},
  /** Somebody ordered the end of a session; that it was over already is among the failures. */
  'session.terminate': {ok: 'TSE00I', failed: 'TSE00W'},
  'session.upload': {ok: 'T2005I'},
  'session.data': {ok: 'T2006I'},
  'session.connect': {ok: 'T2010I', failed: 'T2010E'},
  'session.recording.access': {ok: 'T2012I', failed: 'T2012W'},
  /** Somebody looked for something on the screens of sessions. */
  'session.recording.search': {ok: 'TSR02I'},
  /** A recording was removed, or is about to be. */
  'session.recording.delete': {ok: 'TSR03I', failed: 'TSR03E'},
  'session.recording.hold': {ok: 'TSR04I'},
  'session.recording.release': {ok: 'TSR05I'},
  'session.rejected': {failed: 'T1006W'},
  subsystem: {ok: 'T3001I', failed: 'T3001E'},
  exec: {ok: 'T3002I', failed: 'T3002E'},
  port: {ok: 'T3003I', failed: 'T3003E'},
  'client.disconnect': {ok: 'T3006I'},
  auth: {failed: 'T3007W'},
  x11: {ok: 'T3008I', failed: 'T3008W'},
  'scp.download': {ok: 'T3004I', failed: 'T3004E'},
  'scp.upload': {ok: 'T3005I', failed: 'T3005E'},
  'sftp.open': {failed: 'TS001E'},
  'sftp.read': {ok: 'TS003I', failed: 'TS003E'},
  'sftp.write': {ok: 'TS004I', failed: 'TS004E'},
  'sftp.setstat': {ok: 'TS007I', failed: 'TS007E'},
  'sftp.fsetstat': {ok: 'TS008I', failed: 'TS008E'},
  'sftp.opendir': {ok: 'TS009I', failed: 'TS009E'},
  'sftp.remove': {ok: 'TS011I', failed: 'TS011E'},
  'sftp.mkdir': {ok: 'TS012I', failed: 'TS012E'},
  'sftp.rmdir': {ok: 'TS013I', failed: 'TS013E'},
  'sftp.rename': {ok: 'TS016I', failed: 'TS016E'},
  'sftp.symlink': {ok: 'TS018I', failed: 'TS018E'},
  'sftp.link': {ok: 'TS019I', failed: 'TS019E'},
  /** A request that nobody here knows, and the host did. */
  'sftp.extended': {ok: 'TSF02I', failed: 'TSF02E'},
  'sftp.summary': {ok: 'TS021I'},
  /** Seen by its command line alone; the content is not followed. */
  'rsync.download': {ok: 'TRS00I'},
  'rsync.upload': {ok: 'TRS01I'},
  /** A file has been open for a second, and still is. */
  'session.transfer.open': {ok: 'TSF01I'},
  /** A file transfer can no longer be followed. */
  'session.transfer.lost': {failed: 'TSF00W'},
  /** A recording can no longer be written while its session goes on. */
  'session.recording.failed': {failed: 'TSR00W'},
  /** A recording that has no end cannot be given one: it is not what was recorded. */
  'session.recording.damaged': {failed: 'TSR01W'},
  /** What a machine sent as part of a recording is none: it was not kept, and the recording ends before it. */
  'session.recording.refused': {failed: 'TSR06W'},
  /** What a machine kept for the log while it could not reach it is not what it wrote; the good part was delivered. */
  'spool.damaged': {failed: 'TSP00W'},
  /** A crash had left part of a record at the end of the log; it was cut off. */
  'audit.recovered': {ok: 'TAL00W'},
  /** Signs the log up to and with itself. */
  'audit.signed': {ok: 'TAL02I'},
  /** The log that the service found at its start is not the one that it had left. */
  'audit.altered': {failed: 'TAL03E'},
  /** The oldest files of the log are about to be taken away, as the configuration says. */
  'audit.pruned': {ok: 'TAL01I'},
} as const satisfies Record<string, {ok?: string; failed?: string}>

export type EventName = keyof typeof eventCodes

/** What an emitter supplies; the log adds `ei`, `uid`, `code`, `time`, `cluster_name` and the chain. */
export interface AuditInput {
  event: EventName
  /** false picks the failed code. Default true. */
  success?: boolean
  /** Why it failed, for people. */
  error?: string
  user?: string
  login?: string
  sid?: string
  server_id?: string
  server_hostname?: string
  server_addr?: string
  /** Of the host in the inventory, as they were when the session began. */
  server_labels?: Record<string, string>
  forwarded_by?: string
  'addr.local'?: string
  'addr.remote'?: string
  proto?: 'ssh' | 'https' | 'unix'
  /** Fields of one kind of event: `command`, `exitCode`, `size`, … JSON values only. */
  fields?: Record<string, unknown>
  /** UUID, from an emitter that may have to tell it again: it is on record once. Otherwise the log chooses it. */
  uid?: string
  /** When it happened, Unix ms, from an emitter that tells it later. The future counts as now. */
  time?: number
  /** UUID of the machine that told it, where that is another one; set by the auth service. */
  reported_by?: string
}

/** One record of the log, as stored and as shown. Times are ISO 8601 with milliseconds, UTC. */
export interface AuditEvent {
  /** Place in the log, counting from 1. */
  seq: number
  /** Hex sha256 of the bytes of the record before, without its line break; 64 zeros for the first. */
  prev: string
  /** Index of the event in its session (0 for events without one). */
  ei: number
  event: EventName
  uid: string
  code: string
  time: string
  /** When it came to the log; of an event that was told late. */
  received?: string
  cluster_name: string
  success: boolean
  user?: string
  login?: string
  sid?: string
  [field: string]: unknown
}

export interface AuditQuery {
  event?: EventName[]
  user?: string
  sid?: string
  login?: string
  /** `server_hostname`: the host as the user named it. */
  host?: string
  from?: Date
  to?: Date
  /** Only what came to pass, or what did not. */
  success?: boolean
  /** Not these kinds. */
  without?: EventName[]
  /** Only records after the one with this `seq`. */
  after?: number
  /** Only records before the one with this `seq`. */
  before?: number
  /** Which records come first. Default: newest. */
  order?: 'newest' | 'oldest'
  /** At most this many. Default 200. */
  limit?: number
}

/** Where events go. `emit` resolves when the event is durable. */
export interface AuditSink {
  emit(input: AuditInput): Promise<AuditEvent>
}
