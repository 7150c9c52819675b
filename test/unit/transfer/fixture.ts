import {createHash} from 'node:crypto'
import {WireWriter} from '../../../src/lib/sshcert/index.js'
import type {
  FileReport,
  OperationReport,
  TransferParser,
  TransferReports,
} from '../../../src/lib/transfer/index.js'

export interface Kept extends TransferReports {
  files: FileReport[]
  operations: OperationReport[]
  losses: string[]
}

export function keptReports(): Kept {
  const kept: Kept = {
    files: [],
    operations: [],
    losses: [],
    file: report => void kept.files.push(report),
    operation: report => void kept.operations.push(report),
    lost: reason => void kept.losses.push(reason),
  }
  return kept
}

export const sha256 = (bytes: Buffer | string): string => createHash('sha256').update(bytes).digest('hex')

/** One direction's bytes, in the order in which they pass. */
export type Passage = readonly ['client' | 'host', Buffer]

export const play = (parser: TransferParser, passages: readonly Passage[]): Buffer[] =>
  passages.flatMap(([side, bytes]) => {
    if (side === 'host') return [parser.fromHost(bytes)]
    parser.fromClient(bytes)
    return []
  })

/** The same bytes, cut into pieces of these lengths, over and over. */
export function cut(passages: readonly Passage[], lengths: readonly number[]): Passage[] {
  let turn = 0
  return passages.flatMap(([side, bytes]) => {
    const pieces: Passage[] = []
    for (let at = 0; at < bytes.length; ) {
      const length = lengths[turn++ % lengths.length] ?? 1
      pieces.push([side, bytes.subarray(at, at + length)])
      at += length
    }
    return pieces
  })
}

const packet = (type: number, body: WireWriter): Buffer => {
  const bytes = body.finish()
  return new WireWriter()
    .u32(bytes.length + 1)
    .u8(type)
    .raw(bytes)
    .finish()
}
const request = (type: number, id: number, body: (writer: WireWriter) => WireWriter): Passage => [
  'client',
  packet(type, body(new WireWriter().u32(id))),
]
const answer = (type: number, id: number, body: (writer: WireWriter) => WireWriter): Passage => [
  'host',
  packet(type, body(new WireWriter().u32(id))),
]

export interface Attributes {
  size?: number
  permissions?: number
  owner?: [number, number]
  times?: [number, number]
}
const attributes = (writer: WireWriter, {size, permissions, owner, times}: Attributes): WireWriter => {
  writer.u32(
    (size === undefined ? 0 : 1) | (owner ? 2 : 0) | (permissions === undefined ? 0 : 4) | (times ? 8 : 0),
  )
  if (size !== undefined) writer.u64(BigInt(size))
  if (owner) writer.u32(owner[0]).u32(owner[1])
  if (permissions !== undefined) writer.u32(permissions)
  if (times) writer.u32(times[0]).u32(times[1])
  return writer
}

export const flags = {read: 1, write: 2, append: 4, create: 8, truncate: 16, exclusive: 32}

/** SFTP 3 packets, draft-ietf-secsh-filexfer-02. */
export const sftp = {
  packet: (side: 'client' | 'host', type: number, body: Buffer): Passage => [
    side,
    packet(type, new WireWriter().raw(body)),
  ],
  begin: (version = 3): Passage[] => [
    ['client', packet(1, new WireWriter().u32(3))],
    ['host', packet(2, new WireWriter().u32(version))],
  ],
  open: (id: number, path: string | Buffer, flag: number) =>
    request(3, id, writer => attributes(writer.string(path).u32(flag), {})),
  close: (id: number, handle: string) => request(4, id, writer => writer.string(handle)),
  read: (id: number, handle: string, offset: number, length: number) =>
    request(5, id, writer => writer.string(handle).u64(BigInt(offset)).u32(length)),
  write: (id: number, handle: string, offset: number, data: Buffer) =>
    request(6, id, writer => writer.string(handle).u64(BigInt(offset)).string(data)),
  path: (type: number, id: number, path: string) => request(type, id, writer => writer.string(path)),
  fstat: (id: number, handle: string) => request(8, id, writer => writer.string(handle)),
  setstat: (id: number, path: string, set: Attributes) =>
    request(9, id, writer => attributes(writer.string(path), set)),
  fsetstat: (id: number, handle: string, set: Attributes) =>
    request(10, id, writer => attributes(writer.string(handle), set)),
  mkdir: (id: number, path: string) =>
    request(14, id, writer => attributes(writer.string(path), {permissions: 0o755})),
  two: (type: number, id: number, one: string, other: string) =>
    request(type, id, writer => writer.string(one).string(other)),
  extended: (id: number, name: string, ...fields: string[]) =>
    request(200, id, writer => fields.reduce((all, field) => all.string(field), writer.string(name))),
  copyData: (id: number, from: string, to: string) =>
    request(200, id, writer => writer.string('copy-data').string(from).u64(0n).u64(0n).string(to).u64(0n)),
  status: (id: number, code: number, message = '') =>
    answer(101, id, writer => writer.u32(code).string(message).string('')),
  handle: (id: number, handle: string) => answer(102, id, writer => writer.string(handle)),
  data: (id: number, data: Buffer) => answer(103, id, writer => writer.string(data)),
  names: (id: number, count: number) =>
    answer(104, id, writer => writer.u32(count).raw(Buffer.alloc(count * 20))),
  attributes: (id: number, set: Attributes) => answer(105, id, writer => attributes(writer, set)),
}

/** What sftp does for `put`: writes ahead, then waits for the answers. */
export function putFile(path: string, content: Buffer, piece = 1000, handle = 'h'): Passage[] {
  const writes: Passage[] = []
  const answers: Passage[] = []
  for (let at = 0, id = 10; at < content.length; at += piece, id++) {
    writes.push(sftp.write(id, handle, at, content.subarray(at, at + piece)))
    answers.push(sftp.status(id, 0))
  }
  return [
    sftp.open(1, path, flags.write | flags.create | flags.truncate),
    sftp.handle(1, handle),
    ...writes,
    ...answers,
    sftp.close(2, handle),
    sftp.status(2, 0),
  ]
}

/** What sftp does for `get`: asks ahead until it is told that the file has ended. */
export function getFile(path: string, content: Buffer, piece = 1000, handle = 'h'): Passage[] {
  const reads: Passage[] = []
  const answers: Passage[] = []
  for (let at = 0, id = 10; at <= content.length; at += piece, id++) {
    reads.push(sftp.read(id, handle, at, piece))
    const part = content.subarray(at, at + piece)
    answers.push(part.length > 0 ? sftp.data(id, part) : sftp.status(id, 1))
    if (part.length === 0 || part.length === piece) continue
    reads.push(sftp.read(++id, handle, content.length, piece - part.length))
    answers.push(sftp.status(id, 1))
  }
  return [
    sftp.open(1, path, flags.read),
    sftp.handle(1, handle),
    ...reads,
    ...answers,
    sftp.close(2, handle),
    sftp.status(2, 0),
  ]
}
