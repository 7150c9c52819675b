import {createHash} from 'node:crypto'
import {WireWriter} from '../../src/lib/sshcert/index.js'
import {watchSftp} from '../../src/lib/transfer/index.js'

/** CPU seconds for each GB: following a download by SFTP, and hashing the same bytes and nothing else. */
export interface Following {
  following: number
  hashing: number
}

const pieceBytes = 32 * 1024
/** What a connection hands over at once. */
const chunkBytes = 64 * 1024

/** Follows `bytes` of a download, as sftp asks for it. */
export function measureFollowing(bytes: number): Following {
  const data = Buffer.alloc(pieceBytes, 'x')
  const count = Math.ceil(bytes / pieceBytes)
  const watch = watchSftp({
    file: ({complete}) => {
      if (!complete) throw new Error('the download was not followed')
    },
    operation: () => undefined,
    lost: reason => {
      throw new Error(reason)
    },
  })
  const packet = (type: number, body: WireWriter): Buffer => {
    const content = body.finish()
    return new WireWriter()
      .u32(content.length + 1)
      .u8(type)
      .raw(content)
      .finish()
  }
  const id = (n: number): WireWriter => new WireWriter().u32(n)
  watch.fromClient(packet(1, id(3)))
  watch.fromHost(packet(2, id(3)))
  watch.fromClient(packet(3, id(0).string('/file').u32(1).u32(0)))
  watch.fromHost(packet(102, id(0).string('handle')))
  const answer = packet(103, id(0).string(data))
  const following = cpuOf(() => {
    for (let n = 1; n <= count; n++) {
      watch.fromClient(
        packet(
          5,
          id(n)
            .string('handle')
            .u64(BigInt(n - 1) * BigInt(pieceBytes))
            .u32(pieceBytes),
        ),
      )
      answer.writeUInt32BE(n, 5)
      for (let at = 0; at < answer.length; at += chunkBytes)
        watch.fromHost(answer.subarray(at, at + chunkBytes))
    }
  })
  watch.fromClient(
    packet(
      5,
      id(0)
        .string('handle')
        .u64(BigInt(count) * BigInt(pieceBytes))
        .u32(pieceBytes),
    ),
  )
  watch.fromHost(packet(101, id(0).u32(1).string('').string('')))
  watch.fromClient(packet(4, id(0).string('handle')))
  watch.fromHost(packet(101, id(0).u32(0).string('').string('')))
  const hash = createHash('sha256')
  const hashing = cpuOf(() => {
    for (let n = 0; n < count; n++) hash.update(data)
  })
  const gigabytes = (count * pieceBytes) / 1e9
  return {following: following / gigabytes, hashing: hashing / gigabytes}
}

function cpuOf(work: () => void): number {
  const before = process.cpuUsage()
  work()
  const {user, system} = process.cpuUsage(before)
  return (user + system) / 1e6
}
