import {type packetFields, packetType, unreadable} from './packets.js'
import {words} from './path-name.js'
import {readSize} from './sftp-attributes.js'
import {directionOf, type OpenFile} from './sftp-file.js'
import type {Handle, OpenFiles} from './sftp-open-files.js'
import type {SftpRequest} from './sftp-requests.js'
import type {OperationReport, TransferReports} from './types.js'

/** Who has to know. */
export interface Told {
  files: OpenFiles
  reports: TransferReports
}
type Fields = ReturnType<typeof packetFields>

/** A request and what it is about; the handle is what it stood for when it was asked. */
export interface Pending {
  request: SftpRequest
  handle?: Handle | undefined
  /** copy-data: what is copied. */
  source?: Handle | undefined
}

const status = {ok: 0, endOfFile: 1} as const
const statusWords: Readonly<Record<number, string>> = {
  1: 'End of file',
  2: 'No such file',
  3: 'Permission denied',
  4: 'Failure',
  5: 'Bad message',
  6: 'No connection',
  7: 'Connection lost',
  8: 'Operation unsupported',
}

/** The type of the answer that is not a status; requests that are missing get a status alone. */
const resultOf: Partial<Record<SftpRequest['ask'], number>> = {
  open: packetType.handle,
  opendir: packetType.handle,
  read: packetType.data,
  fstat: packetType.attributes,
  stat: packetType.attributes,
}

/** Where content of the answer goes. */
export interface Place {
  file: OpenFile
  offset: number
}

/**
 * Takes an answer to what was asked, `fields` from behind its ID on, and gives the place of content that follows.
 * @throws protocol_error
 */
export function takeAnswer(type: number, pending: Pending, fields: Fields, told: Told): Place | undefined {
  const {files, reports} = told
  if (type !== packetType.status) return takeResult(type, pending, fields, told)
  const code = fields.u32()
  const isEnd = code === status.endOfFile && pending.request.ask === 'read'
  if (code === status.ok || isEnd) takeSuccess(pending, isEnd, files, reports)
  else takeFailure(pending, reasonOf(code, fields), files, reports)
  return undefined
}

/** Tells of what was asked and never answered: a client that leaves early may have had it done all the same. */
export function takeSilence(pending: Pending, {files, reports}: Told): void {
  if (!isToldOf.has(pending.request.ask)) return
  takeFailure(pending, 'no answer came', files, {
    ...reports,
    operation: report => reports.operation({...report, unanswered: true}),
  })
}

/** By itself; what else is asked belongs to a file that is open, and to its report. */
const isToldOf: ReadonlySet<SftpRequest['ask']> = new Set([
  'open',
  'opendir',
  'operation',
  'fsetstat',
  'unknown',
])

/** Before version 3 there was no message. One that is long was cut to what is at hand. */
function reasonOf(code: number, fields: Fields): string {
  const message = fields.left >= 4 ? words(fields.bytes(Math.min(fields.u32(), fields.left))) : ''
  return message || statusWords[code] || `error ${code}`
}

function takeResult(
  type: number,
  {request, handle}: Pending,
  fields: Fields,
  {files, reports}: Told,
): Place | undefined {
  const fits = resultOf[request.ask]
  const fitsAny = request.ask === 'other' || request.ask === 'unknown'
  if (fits !== type && (fits !== undefined || !fitsAny))
    throw unreadable('an answer does not fit its request')
  if (request.ask === 'unknown') takeUnknown(request.name, files, reports)
  if (request.ask === 'open' || request.ask === 'opendir') files.opened(request, fields.string())
  else if (request.ask === 'read') {
    if (!handle?.file) throw unreadable('content of a file that is not open')
    handle.file.readAnswered()
    return {file: handle.file, offset: request.offset}
  } else if (request.ask === 'fstat') {
    const size = readSize(fields)
    if (size !== undefined) handle?.file?.hasSize(size)
  }
  return undefined
}

function takeSuccess(
  {request, handle, source}: Pending,
  isEnd: boolean,
  files: OpenFiles,
  reports: TransferReports,
): void {
  const file = handle?.file
  switch (request.ask) {
    case 'open':
    case 'opendir':
      throw unreadable('an answer does not fit its request')
    case 'operation': {
      const {ask: _, ...what} = request
      if (what.operation === 'rename' || what.operation === 'remove')
        files.moved(what.path, ...(what.target ? [what.target] : []))
      if (what.attributes?.size !== undefined) files.touched()
      return reports.operation(what)
    }
    case 'read':
      file?.readAnswered()
      if (isEnd) file?.endsAt(request.offset)
      return
    case 'unknown':
      return takeUnknown(request.name, files, reports)
    case 'fstat':
    case 'stat':
    case 'other':
      return
  }
  // A client may have guessed a handle before the host gave it: what it did with it would be missing.
  if (!handle) throw unreadable('something was done to a file that is not open')
  switch (request.ask) {
    case 'write':
      if (!file) throw unreadable('a file that is not open was written to')
      return file.writeAnswered(request.length)
    case 'fsetstat':
      if (!file)
        return reports.operation({operation: 'fsetstat', path: handle.path, attributes: request.attributes})
      if (request.attributes.size !== undefined) file.lengthAnswered(true)
      return file.attributesSet(request.attributes)
    case 'copy':
      if (!file || !source) throw unreadable('something was done to a file that is not open')
      return file.copiedFrom(source.path)
    case 'close':
      return file && files.closed(file, undefined)
  }
}

const asOperation = (name: string): OperationReport => ({operation: 'extended', path: {text: name}})

/** It may have done anything to any file. */
function takeUnknown(name: string, files: OpenFiles, reports: TransferReports): void {
  files.touched()
  reports.operation(asOperation(name))
}

function takeFailure(
  {request, handle}: Pending,
  error: string,
  files: OpenFiles,
  reports: TransferReports,
): void {
  const file = handle?.file
  switch (request.ask) {
    case 'open':
      return reports.file({
        ...{direction: directionOf(request.flags), path: request.path, bytes: 0, complete: false},
        ...{unhashed: 'nothing passed', error, refused: true},
      })
    case 'opendir':
      return reports.operation({operation: 'opendir', path: request.path, error})
    case 'operation': {
      const {ask: _, ...what} = request
      return reports.operation({...what, error})
    }
    case 'unknown':
      return reports.operation({...asOperation(request.name), error})
    case 'read':
      return file?.readAnswered(error)
    case 'write':
      return file?.writeAnswered(request.length, error)
    case 'fsetstat':
      if (request.attributes.size !== undefined) file?.lengthAnswered(false)
      if (!handle) return
      return reports.operation({
        ...{operation: 'fsetstat', path: handle.path, attributes: request.attributes, error},
      })
    case 'close':
      return file && files.closed(file, error)
  }
}
