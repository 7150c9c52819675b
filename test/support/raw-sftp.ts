import {type RunOptions, start} from './process.js'

/** An SFTP client that says what no program would, beside the fixtures that make the packets. */
export interface RawSftp {
  /** Sends requests and gives the answer to each, in that order: its type, and its body behind the ID. */
  ask(
    ...requests: readonly (readonly [side: string, bytes: Buffer])[]
  ): Promise<{type: number; body: Buffer}[]>
  /** Asks for a file to be opened. @throws where the host says no */
  open(request: readonly [side: string, bytes: Buffer]): Promise<string>
  /** Sends it, and waits for nothing. */
  say(bytes: Buffer): void
  kill(): void
  /** Ends it in order. */
  end(): Promise<void>
}

const handleType = 102

/** @param command what speaks SFTP on its stdio, such as `ssh -s host sftp` */
export async function rawSftp(
  program: string,
  args: readonly string[],
  options: RunOptions,
): Promise<RawSftp> {
  const child = start(program, args, options)
  const ended = new Promise<void>(resolve => child.once('close', () => resolve()))
  const waiting = new Map<number, (answer: {type: number; body: Buffer}) => void>()
  let pieces = Buffer.alloc(0)
  child.stderr.resume()
  child.stdout.on('data', (bytes: Buffer) => {
    pieces = Buffer.concat([pieces, bytes])
    for (;;) {
      if (pieces.length < 4 || pieces.length < 4 + pieces.readUInt32BE(0)) return
      const packet = pieces.subarray(4, 4 + pieces.readUInt32BE(0))
      pieces = pieces.subarray(4 + packet.length)
      const id = packet.readUInt32BE(1)
      waiting.get(id)?.({type: packet.readUInt8(0), body: packet.subarray(5)})
      waiting.delete(id)
    }
  })
  const ask: RawSftp['ask'] = async (...requests) => {
    const answers = requests.map(
      ([, bytes]) =>
        new Promise<{type: number; body: Buffer}>(resolve => waiting.set(bytes.readUInt32BE(5), resolve)),
    )
    child.stdin.write(Buffer.concat(requests.map(([, bytes]) => bytes)))
    const cut = ended.then(() => {
      throw new Error('the connection has ended')
    })
    return Promise.race([Promise.all(answers), cut])
  }
  // The version stands where answers have their ID: 3, as in what the client begins with.
  await ask(['client', Buffer.from([0, 0, 0, 5, 1, 0, 0, 0, 3])])
  return {
    ask,
    async open(request) {
      const [answer] = await ask(request)
      if (answer?.type !== handleType) throw new Error('the host did not open it')
      return answer.body.subarray(4).toString('latin1')
    },
    say: bytes => void child.stdin.write(bytes),
    kill: () => void child.kill('SIGKILL'),
    async end() {
      child.stdin.end()
      await ended
    },
  }
}
