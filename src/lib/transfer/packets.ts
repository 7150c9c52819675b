import {problem} from '../errors/index.js'

/** Types of SFTP packets, draft-ietf-secsh-filexfer-02 §3. */
export const packetType = {
  init: 1,
  version: 2,
  open: 3,
  close: 4,
  read: 5,
  write: 6,
  lstat: 7,
  fstat: 8,
  setstat: 9,
  fsetstat: 10,
  opendir: 11,
  readdir: 12,
  remove: 13,
  mkdir: 14,
  rmdir: 15,
  realpath: 16,
  stat: 17,
  rename: 18,
  readlink: 19,
  symlink: 20,
  status: 101,
  handle: 102,
  data: 103,
  name: 104,
  attributes: 105,
  extended: 200,
  extendedReply: 201,
} as const

/** Longest packet that is looked at as a whole; OpenSSH's own limit (SFTP_MAX_MSG_LENGTH). */
const maxPacketBytes = 256 * 1024
/** Others without content, such as the names in a directory. No client takes so much at once. */
const maxUnreadBytes = 1024 * 1024
/** Draft §6.3: a handle is no longer. */
export const maxHandleBytes = 256

/** How much of a packet is looked at. `head` gives, from what has come of its body, how much of it comes before data. */
export type PacketPlan =
  | {look: 'whole'}
  | {look: 'start'; bytes: number}
  | {look: 'data'; head(body: Buffer): number}

export interface PacketReaderOptions {
  plan(type: number): PacketPlan
  /**
   * A packet's body, or the part of it that is looked at. Where data follows, the last four bytes of the head are its
   * length.
   */
  onPacket(type: number, body: Buffer): void
  /** Data of the packet that came last, in pieces. */
  onData(bytes: Buffer): void
}

/**
 * Cuts a stream into SFTP packets (draft §3: length, type, body), however it arrives. Data is handed on as it comes.
 * @returns a function to be called with the bytes; it throws `protocol_error` for what is no SFTP
 */
export function createPacketReader({plan, onPacket, onData}: PacketReaderOptions): (bytes: Buffer) => void {
  const gathered = createGatherer()
  let type: number | undefined
  let current: PacketPlan = {look: 'whole'}
  /** Of the packet: still to come of its body. */
  let bodyLeft = 0
  /** Of the body: what is to be gathered before anything is done. */
  let wanted = 0
  let dataLeft = 0

  const begin = (header: Buffer): void => {
    const length = header.readUInt32BE(0)
    if (length < 1) throw unreadable('a packet is empty')
    type = header.readUInt8(4)
    current = plan(type)
    bodyLeft = length - 1
    const limit = {whole: maxPacketBytes, start: maxUnreadBytes, data: Number.POSITIVE_INFINITY}
    if (length > limit[current.look]) throw unreadable(`a packet of type ${type} has ${length} bytes`)
    wanted = wantedOf(current, gathered.none, bodyLeft)
  }
  /** Returns false where more has to come first. */
  const body = (bytes: Buffer): boolean => {
    const more = wantedOf(current, bytes, bytes.length + bodyLeft)
    if (more > bytes.length) {
      wanted = more
      return false
    }
    if (current.look === 'data') dataLeft = bytes.readUInt32BE(bytes.length - 4)
    if (dataLeft > bodyLeft) throw unreadable('a packet is shorter than the data in it')
    onPacket(type as number, bytes)
    return true
  }
  return bytes => {
    let at = 0
    for (;;) {
      if (type === undefined) {
        const header = gathered.take(bytes, at, 5)
        at += gathered.taken
        if (!header) return
        begin(header)
        gathered.clear()
      }
      if (wanted >= 0) {
        const had = gathered.size
        const head = gathered.take(bytes, at, wanted)
        at += gathered.taken
        bodyLeft -= gathered.size - had
        if (!head) return
        if (!body(head)) continue
        gathered.clear()
        wanted = -1
      }
      const data = Math.min(dataLeft, bytes.length - at)
      if (data > 0) onData(bytes.subarray(at, at + data))
      dataLeft -= data
      const rest = Math.min(bodyLeft, bytes.length - at)
      bodyLeft -= rest
      at += rest
      if (bodyLeft > 0) return
      type = undefined
    }
  }
}

function wantedOf(plan: PacketPlan, body: Buffer, length: number): number {
  if (plan.look === 'whole') return length
  if (plan.look === 'start') return Math.min(plan.bytes, length)
  const wanted = plan.head(body)
  if (wanted > length) throw unreadable('a packet is shorter than its fields')
  return wanted
}

/** Puts bytes together that arrive in pieces; where they come in one, nothing is copied. */
function createGatherer() {
  const none = Buffer.alloc(0)
  let kept: Buffer = none
  let size = 0
  let taken = 0
  return {
    none,
    /** Gathered so far. */
    get size() {
      return size
    },
    /** How many bytes the last `take` used. */
    get taken() {
      return taken
    },
    /** The first `wanted` bytes since `clear`, with what `bytes` has from `at` on; undefined: more have to come. */
    take(bytes: Buffer, at: number, wanted: number): Buffer | undefined {
      taken = Math.min(wanted - size, bytes.length - at)
      if (size === 0 && taken === wanted) {
        kept = bytes.subarray(at, at + taken)
        size = taken
        return kept
      }
      if (size + taken > kept.length) {
        // By doubling, so that a packet in single bytes costs no more than its size; never ahead of what has come.
        const larger = Buffer.alloc(Math.max(64, 2 * (size + taken)))
        kept.copy(larger, 0, 0, size)
        kept = larger
      }
      bytes.copy(kept, size, at, at + taken)
      size += taken
      return size === wanted ? kept.subarray(0, size) : undefined
    },
    clear(): void {
      kept = none
      size = 0
    },
  }
}

export interface PacketFields {
  u32(): number
  /** Rounded above 2⁵³, where no file is. */
  u64(): number
  string(): Buffer
  bytes(count: number): Buffer
  readonly left: number
}

/** Reads the fields of a packet (RFC 4251 §5). Every overrun is a `protocol_error`. */
export function packetFields(body: Buffer): PacketFields {
  let at = 0
  const take = (bytes: number): number => {
    if (bytes > body.length - at) throw unreadable('a packet is shorter than its fields')
    at += bytes
    return at - bytes
  }
  const u32 = (): number => body.readUInt32BE(take(4))
  const bytes = (count: number): Buffer => {
    const from = take(count)
    return body.subarray(from, from + count)
  }
  return {
    u32,
    u64: () => Number(body.readBigUInt64BE(take(8))),
    string: () => bytes(u32()),
    bytes,
    get left() {
      return body.length - at
    },
  }
}

export const unreadable = (why: string) => problem('protocol_error', why)
