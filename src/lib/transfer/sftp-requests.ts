import {maxHandleBytes, type PacketFields, packetFields, packetType, unreadable} from './packets.js'
import {pathName} from './path-name.js'
import {readAttributes} from './sftp-attributes.js'
import type {FileAttributes, Operation, PathName} from './types.js'

/** Flags of SSH_FXP_OPEN (SSH_FXF_…), draft-ietf-secsh-filexfer-02 §6.3. */
export const openFlag = {read: 1, write: 2, append: 4, create: 8, truncate: 16, exclusive: 32} as const

/** What a client asks for, as far as it is followed. */
export type SftpRequest =
  | {ask: 'open'; path: PathName; flags: number}
  | {ask: 'opendir'; path: PathName}
  | {ask: 'close'; handle: string}
  | {ask: 'read'; handle: string; offset: number}
  | {ask: 'write'; handle: string; offset: number; length: number}
  | {ask: 'fstat'; handle: string}
  | {ask: 'stat'; path: PathName}
  | {ask: 'fsetstat'; handle: string; attributes: FileAttributes}
  | {
      ask: 'operation'
      operation: Operation
      path: PathName
      target?: PathName
      attributes?: FileAttributes
    }
  /** OpenSSH's copy-data: from one open file to another, on the host. */
  | {ask: 'copy'; from: string; to: string}
  /** Nothing to tell of. */
  | {ask: 'other'; name: string}
  /** What it does is known to the host alone. */
  | {ask: 'unknown'; name: string}

const handleOf = (fields: PacketFields): string => {
  const bytes = fields.string()
  if (bytes.length > maxHandleBytes) throw unreadable('a handle is longer than 256 bytes')
  return bytes.toString('latin1')
}
const pathOf = (fields: PacketFields): PathName => pathName(fields.string())

const onPath = (operation: Operation, fields: PacketFields): SftpRequest => ({
  ask: 'operation',
  operation,
  path: pathOf(fields),
})
const withAttributes = (operation: Operation, fields: PacketFields): SftpRequest => ({
  ...{ask: 'operation', operation, path: pathOf(fields)},
  attributes: readAttributes(fields),
})
const withTarget = (operation: Operation, fields: PacketFields): SftpRequest => ({
  ...{ask: 'operation', operation, path: pathOf(fields)},
  target: pathOf(fields),
})
/** The link comes second: OpenSSH has the arguments the other way round than the draft, and everybody follows it. */
const linkTo = (operation: Operation, fields: PacketFields): SftpRequest => {
  const target = pathOf(fields)
  return {ask: 'operation', operation, path: pathOf(fields), target}
}
const other = (name: string) => (): SftpRequest => ({ask: 'other', name})

const readers: Readonly<Record<number, (fields: PacketFields) => SftpRequest>> = {
  [packetType.open]: fields => ({ask: 'open', path: pathOf(fields), flags: fields.u32()}),
  [packetType.opendir]: fields => ({ask: 'opendir', path: pathOf(fields)}),
  [packetType.close]: fields => ({ask: 'close', handle: handleOf(fields)}),
  [packetType.read]: fields => ({ask: 'read', handle: handleOf(fields), offset: fields.u64()}),
  [packetType.write]: fields => ({
    ...{ask: 'write', handle: handleOf(fields), offset: fields.u64()},
    length: fields.u32(),
  }),
  [packetType.fstat]: fields => ({ask: 'fstat', handle: handleOf(fields)}),
  [packetType.stat]: fields => ({ask: 'stat', path: pathOf(fields)}),
  [packetType.fsetstat]: fields => ({
    ...{ask: 'fsetstat', handle: handleOf(fields)},
    attributes: readAttributes(fields),
  }),
  [packetType.setstat]: fields => withAttributes('setstat', fields),
  [packetType.remove]: fields => onPath('remove', fields),
  [packetType.mkdir]: fields => withAttributes('mkdir', fields),
  [packetType.rmdir]: fields => onPath('rmdir', fields),
  [packetType.rename]: fields => withTarget('rename', fields),
  [packetType.symlink]: fields => linkTo('symlink', fields),
  [packetType.lstat]: other('lstat'),
  [packetType.readdir]: other('readdir'),
  [packetType.realpath]: other('realpath'),
  [packetType.readlink]: other('readlink'),
}

/** OpenSSH's PROTOCOL §4. */
const extended: Readonly<Record<string, (fields: PacketFields) => SftpRequest>> = {
  'posix-rename@openssh.com': fields => withTarget('rename', fields),
  'hardlink@openssh.com': fields => linkTo('link', fields),
  'lsetstat@openssh.com': fields => withAttributes('setstat', fields),
  'copy-data': fields => {
    const from = handleOf(fields)
    fields.u64()
    fields.u64()
    return {ask: 'copy', from, to: handleOf(fields)}
  },
}

/** Those of OpenSSH that move and change nothing. */
const harmless: ReadonlySet<string> = new Set([
  ...['statvfs@openssh.com', 'fstatvfs@openssh.com', 'fsync@openssh.com', 'limits@openssh.com'],
  ...['expand-path@openssh.com', 'home-directory', 'users-groups-by-id@openssh.com'],
])

/**
 * Reads a request; `body` begins with its ID.
 * @throws protocol_error
 */
export function readRequest(type: number, body: Buffer): {id: number; request: SftpRequest} {
  const fields = packetFields(body)
  const id = fields.u32()
  if (type !== packetType.extended) {
    return {id, request: readers[type]?.(fields) ?? {ask: 'unknown', name: `type ${type}`}}
  }
  const name = fields.string().toString('latin1').slice(0, 64)
  const request = Object.hasOwn(extended, name) ? extended[name]?.(fields) : undefined
  const ask = harmless.has(name) ? 'other' : 'unknown'
  return {id, request: request ?? {ask, name: name.replace(/[^!-~]/g, '?')}}
}
