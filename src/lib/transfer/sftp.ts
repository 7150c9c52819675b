import {asProblem} from '../errors/index.js'
import {createPacketReader, packetFields, packetType, unreadable} from './packets.js'
import {type Pending, type Place, takeAnswer, takeSilence} from './sftp-answers.js'
import {type OpenFiles, openFiles, pathBudget} from './sftp-open-files.js'
import {answerPlan, requestPlan} from './sftp-plan.js'
import {readRequest, type SftpRequest} from './sftp-requests.js'
import type {TransferParser, TransferReports} from './types.js'

/** Requests without an answer. OpenSSH's sftp sends 64 ahead, others a few hundred. */
const maxPending = 16 * 1024
/** Names of requests that are told of at the end. */
const maxNames = 32

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
  const counted = requestCounter()
  const budget = pathBudget()
  const files = openFiles(reports, budget)
  const pending = new Map<number, Pending>()
  let begun = false
  let over = false
  let toHost: Place | undefined
  let toClient: Place | undefined

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
    budget.take(sizeOf(request))
    counted.add(request)
    const concerned = concerning(request, files)
    pending.set(id, {request, ...concerned})
    const file = concerned.handle?.file
    if (request.ask === 'write' && file) toHost = {file, offset: request.offset}
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
    budget.give(sizeOf(asked.request))
    toClient = takeAnswer(type, asked, fields, {files, reports})
  }

  const finish = (how: 'aborted' | 'lost'): void => {
    if (over) return
    over = true
    for (const asked of pending.values()) takeSilence(asked, {files, reports})
    files.concludeAll(how)
    pending.clear()
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
    totals: () => ({requests: counted.all()}),
  }
}

const nothing = Buffer.alloc(0)

/** Notes what is asked of open files, and gives the handles that it is asked of. */
function concerning(request: SftpRequest, files: OpenFiles): Omit<Pending, 'request'> {
  if (request.ask === 'copy') {
    const handle = files.of(request.to)
    handle?.file?.asksToCopy()
    return {handle, source: files.of(request.from)}
  }
  if (!('handle' in request)) return {}
  const handle = files.of(request.handle)
  const file = handle?.file
  if (request.ask === 'read') file?.asksToRead()
  if (request.ask === 'write') file?.asksToWrite()
  if (request.ask === 'fsetstat' && request.attributes.size !== undefined)
    file?.asksForLength(request.attributes.size)
  if (request.ask === 'close') files.closing(request.handle)
  return {handle}
}

/** Characters that are kept with a request until it is answered. */
function sizeOf(request: SftpRequest): number {
  if (!('path' in request)) return 0
  const target = 'target' in request ? request.target : undefined
  return request.path.text.length + (target?.text.length ?? 0)
}

function requestCounter() {
  const requests = new Map<string, number>()
  return {
    add(request: SftpRequest): void {
      const name =
        request.ask === 'operation' ? request.operation : 'name' in request ? request.name : request.ask
      const key = requests.has(name) || requests.size < maxNames ? name : 'others'
      requests.set(key, (requests.get(key) ?? 0) + 1)
    },
    all: (): Record<string, number> => Object.fromEntries(requests),
  }
}
