import {asProblem} from '../errors/index.js'
import {reorderWindow} from './content.js'
import {
  createPacketReader,
  maxHandleBytes,
  type PacketPlan,
  packetFields,
  packetType,
  unreadable,
} from './packets.js'
import {words} from './path-name.js'
import {readSize} from './sftp-attributes.js'
import {type OpenFile, openFile} from './sftp-file.js'
import {readRequest, type SftpRequest} from './sftp-requests.js'
import type {FileReport, PathName, TransferParser, TransferReports} from './types.js'

/** Requests without an answer. OpenSSH's sftp sends 64 ahead, others a few hundred. */
const maxPending = 16 * 1024
/** As many as an sftp-server may have open by the usual limit of descriptors, four times over. */
const maxHandles = 4096
/** Characters of paths that are kept with requests and handles. */
const maxPathCharacters = 8 * 1024 * 1024
/** Sizes of files that were asked for by path, for those that are opened next. */
const maxKnownSizes = 64
/** Names of requests that are told of at the end. */
const maxNames = 32
const answerBytes = 1024

const status = {ok: 0, endOfFile: 1} as const
const statusWords: Readonly<Record<number, string>> = {
  2: 'No such file',
  3: 'Permission denied',
  4: 'Failure',
  5: 'Bad message',
  6: 'No connection',
  7: 'Connection lost',
  8: 'Operation unsupported',
}

type Handle = {file: OpenFile; path: PathName} | {file?: undefined; path: PathName}

/** A request and what it is about; the handle is what the ID stood for when it was asked. */
interface Pending {
  request: SftpRequest
  handle?: Handle | undefined
  /** copy-data: what is copied. */
  source?: Handle | undefined
}

/** What an SFTP session did besides what was told of one by one. */
export interface SftpTotals {
  /** How often each request was made, by its name. */
  requests: Record<string, number>
}

/**
 * Follows SFTP 3 (draft-ietf-secsh-filexfer-02) with OpenSSH's extensions. Requests are matched with their answers by
 * ID, in whatever order they come; listing directories and looking at attributes is only counted.
 */
export function watchSftp(reports: TransferReports): TransferParser & {totals(): SftpTotals} {
  const requests = new Map<string, number>()
  const pending = new Map<number, Pending>()
  const handles = new Map<string, Handle>()
  /** Closed by the client; the host has not said yes yet. */
  const closing = new Set<OpenFile>()
  /** Numbers of the files that are open. */
  const ids = new Map<OpenFile, number>()
  let lastId = 0
  const sizes = new Map<string, number>()
  const window = reorderWindow()
  let kept = 0
  let begun = false
  let over = false
  let toHost: {file: OpenFile; offset: number} | undefined
  let toClient: {file: OpenFile; offset: number} | undefined

  const count = (name: string): void => {
    const key = requests.has(name) || requests.size < maxNames ? name : 'others'
    requests.set(key, (requests.get(key) ?? 0) + 1)
  }
  const keep = (characters: number): void => {
    kept += characters
    if (kept > maxPathCharacters) throw unreadable('too many long paths at once')
  }

  const onRequest = (type: number, body: Buffer): void => {
    toHost = undefined
    if (type === packetType.init) {
      if (begun) throw unreadable('it begins twice')
      begun = true
      return
    }
    if (!begun) throw unreadable('the client does not begin as SFTP does')
    const {id, request} = readRequest(type, body)
    if (pending.has(id)) throw unreadable('a request has the ID of another')
    if (pending.size >= maxPending) throw unreadable(`more than ${maxPending} requests wait for an answer`)
    keep(sizeOf(request))
    count(
      request.ask === 'operation' ? request.operation : request.ask === 'other' ? request.name : request.ask,
    )
    pending.set(id, {request, ...concerning(request)})
  }
  /** Notes what is asked of an open file. */
  const concerning = (request: SftpRequest): Omit<Pending, 'request'> => {
    if (request.ask === 'copy') return {handle: handles.get(request.to), source: handles.get(request.from)}
    if (!('handle' in request)) return {}
    const handle = handles.get(request.handle)
    const file = handle?.file
    if (request.ask === 'read') file?.asksToRead()
    if (request.ask === 'write' && file) {
      file.asksToWrite()
      toHost = {file, offset: request.offset}
    }
    if (request.ask === 'close' && handle) {
      handles.delete(request.handle)
      if (file) closing.add(file)
      else kept -= handle.path.text.length
    }
    return {handle}
  }

  const onAnswer = (type: number, body: Buffer): void => {
    toClient = undefined
    if (!begun) throw unreadable('the host speaks before the client')
    const fields = packetFields(body)
    if (type === packetType.version) {
      const version = fields.u32()
      if (version > 3) throw unreadable(`it is SFTP version ${Math.min(version, 99)}, and only 3 is known`)
      return
    }
    const id = fields.u32()
    const asked = pending.get(id)
    if (!asked) throw unreadable('an answer to nothing')
    pending.delete(id)
    kept -= sizeOf(asked.request)
    if (type !== packetType.status) return onResult(type, asked, fields)
    const code = fields.u32()
    if (code === status.ok || code === status.endOfFile)
      return onStatus(asked, undefined, code === status.endOfFile)
    // Before version 3 there was no message.
    const message = fields.left >= 4 ? words(messageOf(fields)) : ''
    onStatus(asked, message || statusWords[code] || `error ${code}`, false)
  }

  const onResult = (
    type: number,
    {request, handle}: Pending,
    fields: ReturnType<typeof packetFields>,
  ): void => {
    const fits = resultOf[request.ask]
    if (fits !== undefined && fits !== type) throw unreadable('an answer does not fit its request')
    if (fits === undefined && request.ask !== 'other') throw unreadable('an answer does not fit its request')
    if (request.ask === 'open' || request.ask === 'opendir') return onOpened(request, fields.string())
    if (request.ask === 'read') {
      if (!handle?.file) throw unreadable('content of a file that is not open')
      handle.file.readAnswered()
      toClient = {file: handle.file, offset: request.offset}
    } else if (request.ask === 'fstat' || request.ask === 'stat') {
      const size = readSize(fields)
      if (size === undefined) return
      if (request.ask === 'fstat') handle?.file?.hasSize(size)
      else remember(request.path.text, size)
    }
  }
  const remember = (path: string, size: number): void => {
    sizes.delete(path)
    sizes.set(path, size)
    for (const oldest of sizes.keys()) {
      if (sizes.size <= maxKnownSizes) break
      sizes.delete(oldest)
    }
  }
  const onOpened = (request: SftpRequest & {ask: 'open' | 'opendir'}, handle: Buffer): void => {
    const key = handle.toString('latin1')
    if (handles.has(key)) throw unreadable('a handle is given twice')
    if (handles.size >= maxHandles) throw unreadable(`more than ${maxHandles} files are open`)
    const {path} = request
    keep(path.text.length)
    if (request.ask === 'opendir') {
      handles.set(key, {path})
      return reports.operation({operation: 'opendir', path})
    }
    const file = openFile(path, request.flags, window, sizes.get(path.text))
    handles.set(key, {path, file})
    sizes.delete(path.text)
    ids.set(file, ++lastId)
    reports.opened?.(lastId, {direction: file.direction, path})
  }

  const onStatus = ({request, handle, source}: Pending, error: string | undefined, isEnd: boolean): void => {
    const file = handle?.file
    const failed = error === undefined ? {} : {error}
    switch (request.ask) {
      case 'open':
        if (error === undefined) throw unreadable('an answer does not fit its request')
        return reports.file({
          direction: request.flags & 2 ? 'upload' : 'download',
          ...{path: request.path, bytes: 0, complete: false, unhashed: 'nothing passed'},
          ...{error, refused: true},
        })
      case 'opendir':
        return reports.operation({operation: 'opendir', path: request.path, ...failed})
      case 'operation': {
        const {ask: _, ...what} = request
        return reports.operation({...what, ...failed})
      }
      case 'read':
        file?.readAnswered(error)
        if (isEnd) file?.endsAt(request.offset)
        return
      case 'write':
        if (!file && error === undefined) throw unreadable('a file that is not open was written to')
        return file?.writeAnswered(request.length, error)
      case 'fsetstat':
        if (file && error === undefined) return file.attributesSet(request.attributes)
        if (!handle) return
        return reports.operation({
          ...{operation: 'fsetstat', path: handle.path, attributes: request.attributes},
          ...failed,
        })
      case 'copy':
        if (source && error === undefined) file?.copiedFrom(source.path)
        return
      case 'close':
        return file && close(file, error)
    }
  }
  const close = (file: OpenFile, error: string | undefined): void => {
    closing.delete(file)
    kept -= file.path.text.length
    tell(file, file.conclude('closed', error))
  }
  const tell = (file: OpenFile, all: FileReport[]): void => {
    const id = ids.get(file)
    ids.delete(file)
    for (const report of all) reports.file(report, id)
    if (id !== undefined) reports.closed?.(id)
  }

  const finish = (how: 'aborted' | 'lost'): void => {
    if (over) return
    over = true
    const open = [...closing, ...[...handles.values()].flatMap(({file}) => (file ? [file] : []))]
    for (const file of open) tell(file, file.conclude(how))
    for (const map of [pending, handles, sizes]) map.clear()
    closing.clear()
  }
  const follow = (read: (bytes: Buffer) => void, bytes: Buffer): boolean => {
    if (over) return false
    try {
      read(bytes)
      return true
    } catch (error) {
      finish('lost')
      reports.lost(asProblem(error).message)
      return false
    }
  }

  const readClient = createPacketReader({
    plan: requestPlan,
    onPacket: onRequest,
    onData(bytes) {
      if (!toHost) return
      toHost.file.writes(toHost.offset, bytes)
      toHost.offset += bytes.length
    },
  })
  const readHost = createPacketReader({
    plan: answerPlan,
    onPacket: onAnswer,
    onData(bytes) {
      if (!toClient) return
      toClient.file.reads(toClient.offset, bytes)
      toClient.offset += bytes.length
    },
  })
  return {
    fromClient: bytes => void follow(readClient, bytes),
    fromHost: bytes => (follow(readHost, bytes) ? nothing : bytes),
    end: () => finish('aborted'),
    totals: () => ({requests: Object.fromEntries(requests)}),
  }
}

const nothing = Buffer.alloc(0)

/** The type of the answer that is not a status; requests that are missing get a status alone. */
const resultOf: Partial<Record<SftpRequest['ask'], number>> = {
  open: packetType.handle,
  opendir: packetType.handle,
  read: packetType.data,
  fstat: packetType.attributes,
  stat: packetType.attributes,
}

/** Characters that are kept with a request until it is answered. */
const sizeOf = (request: SftpRequest): number => {
  if (!('path' in request)) return 0
  const target = 'target' in request ? request.target : undefined
  return request.path.text.length + (target?.text.length ?? 0)
}

/** All of the message that is at hand; long ones were cut. */
const messageOf = (fields: ReturnType<typeof packetFields>): Buffer => {
  const length = Math.min(fields.u32(), fields.left)
  return fields.bytes(length)
}

const requestPlan = (type: number): PacketPlan => {
  if (type === packetType.write) return {look: 'data', head: writeHead}
  const isKnown = (type >= packetType.open && type <= packetType.symlink) || type === packetType.extended
  return isKnown ? {look: 'whole'} : {look: 'start', bytes: 4}
}

/** ID, handle, offset, length. */
const writeHead = (body: Buffer): number => {
  if (body.length < 8) return 8
  const handle = body.readUInt32BE(4)
  if (handle > maxHandleBytes) throw unreadable('a handle is longer than 256 bytes')
  return 20 + handle
}

const answerTypes: ReadonlySet<number> = new Set([
  ...[packetType.version, packetType.status, packetType.handle, packetType.name],
  ...[packetType.attributes, packetType.extendedReply],
])

const answerPlan = (type: number): PacketPlan => {
  if (type === packetType.data) return {look: 'data', head: () => 8}
  if (!answerTypes.has(type)) throw unreadable('what the host says is not SFTP')
  return {look: 'start', bytes: answerBytes}
}
