import {once} from 'node:events'
import {type AddressInfo, connect, createServer} from 'node:net'
import {join} from 'node:path'
import {beforeAll, describe, expect, it} from 'vitest'
import {formatIdentity} from '../../src/lib/client/identity/identity-file.js'
import {atEnd} from '../support/cleanup.js'
import {startSallyport} from '../support/cluster.js'
import {type Field, login, startField} from '../support/field.js'
import {writePrivateFile} from '../support/openssh.js'
import type {PipedProcess} from '../support/process.js'
import type {Sshd} from '../support/sshd.js'

/** Ports forwarded by the product's own client, through the recording proxy and a real sshd. */
let field: Field
let target: Sshd
let identity: string
let echo: number

beforeAll(async () => {
  field = await startField()
  target = await field.target()
  identity = writePrivateFile(
    join(field.directory, 'identity'),
    formatIdentity({
      ...(await field.userKey()),
      hostAuthorities: field.minted.authorities.publicKeys('host'),
      cluster: 'test.example',
    }),
  )
  const server = createServer({allowHalfOpen: true}, socket => socket.pipe(socket)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  atEnd(() => void server.close())
  echo = (server.address() as AddressInfo).port
})

/** Starts `sallyport ssh` and resolves when its output matches. */
async function client(flags: string[], ready: RegExp, command: string[] = []): Promise<PipedProcess> {
  const {ssh, web} = field.cluster.addresses
  const child = startSallyport([
    ...['ssh', '-i', identity, `--proxy=127.0.0.1:${web.port},${ssh.port}`, '--insecure', ...flags],
    ...['-p', String(target.port), `${login}@127.0.0.1`, ...command],
  ])
  let seen = ''
  await new Promise<void>((resolve, reject) => {
    const look = (chunk: Buffer): void => {
      seen += chunk.toString('utf8')
      if (ready.test(seen)) resolve()
    }
    child.stdout.on('data', look)
    child.stderr.on('data', look)
    child.once('exit', code => reject(new Error(`ended with ${code}: ${seen}`)))
  })
  return child
}

const ask = async (port: number, preamble: Buffer = Buffer.alloc(0)): Promise<string> => {
  const socket = connect(port, '127.0.0.1')
  const answer: Buffer[] = []
  socket.on('data', chunk => answer.push(chunk))
  socket.end(Buffer.concat([preamble, Buffer.from('hello')]))
  await once(socket, 'end')
  return Buffer.concat(answer).toString('latin1')
}

const free = async (): Promise<number> => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const {port} = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

const ended = async (child: PipedProcess): Promise<number | null> => {
  if (child.exitCode === null) await once(child, 'exit')
  return child.exitCode
}

describe('sallyport ssh', () => {
  it('-L leads from here to a port of the host, beside a command, and ends with it', async () => {
    const local = await free()
    const child = await client(['-L', `${local}:127.0.0.1:${echo}`], /\bready\b/, ['echo ready; cat; exit 4'])
    expect(await ask(local)).toBe('hello')
    child.stdin.end()
    expect(await ended(child)).toBe(4)
    await expect(ask(local)).rejects.toThrow('ECONNREFUSED')
  })

  it('-D leads wherever a SOCKS client asks', async () => {
    const local = await free()
    const child = await client(['-D', String(local)], /\bready\b/, ['echo ready; cat'])
    const request = Buffer.from([5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, echo >> 8, echo & 255])
    expect(await ask(local, request)).toBe('\x05\x00\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00hello')
    child.stdin.end()
    expect(await ended(child)).toBe(0)
  })

  it('-N -R leads from a port of the host to here, without a session', async () => {
    const before = field.events().length
    const remote = await free()
    const child = await client(
      ['-N', '-R', `${remote}:127.0.0.1:${echo}`, '-R', `0:127.0.0.1:${echo}`],
      /Allocated port/,
    )
    expect(await ask(remote)).toBe('hello')
    child.kill('SIGINT')
    await ended(child)
    expect(
      field
        .events()
        .slice(before)
        .map(({event}) => event),
    ).not.toContain('session.start')
  })

  it('says what is wrong with a forwarding before it connects', async () => {
    await expect(client(['-L', '8080:db'], /\bready\b/)).rejects.toThrow(
      /ended with 35: sallyport: "8080:db" is not/,
    )
    const taken = await free()
    const holder = createServer().listen(taken, '127.0.0.1')
    await once(holder, 'listening')
    atEnd(() => void holder.close())
    await expect(client(['-L', `${taken}:127.0.0.1:${echo}`], /\bready\b/)).rejects.toThrow(/\[unavailable\]/)
  })
})
