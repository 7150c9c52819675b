import {randomBytes} from 'node:crypto'
import {once} from 'node:events'
import {writeFileSync} from 'node:fs'
import {connect as connectTcp, createServer} from 'node:net'
import {join} from 'node:path'
import type {Duplex} from 'node:stream'
import {describe, expect, test} from 'vitest'
import {agentSigner, connectAgent} from '../../src/lib/agent/index.js'
import {
  type Channel,
  ChannelRefused,
  type ConnectOptions,
  type Credential,
  connect,
  type SshConnection,
  supportedCiphers,
  supportedKex,
} from '../../src/lib/ssh/index.js'
import {
  checkCertificate,
  formatAuthorizedKey,
  formatPrivateKey,
  plainHostKeyAlgorithms,
  publicKeyBlob,
  signerFromKey,
  WireWriter,
} from '../../src/lib/sshcert/index.js'
import {sshAdd, startAgent, writePrivateFile} from '../support/openssh.js'
import {startSshd} from '../support/sshd.js'
import {temporaryDirectory} from '../support/temporary-directory.js'
import {certify, drain, hostAuthority, type KeyType, newKey, userAuthority} from '../unit/ssh/fixture.js'

const hostName = 'target.test'

async function targetWith(type: KeyType, extraConfig = '') {
  const hostKey = newKey(type)
  return startSshd({
    directory: temporaryDirectory(),
    hostKey,
    hostCertificate: await certify(hostKey, 'host'),
    trustedUserCa: userAuthority.publicBlob,
    extraConfig,
  })
}

const target = await targetWith('ed25519')
const userKey = newKey()
const userCertificate = await certify(userKey, 'user', {
  principals: [target.user],
  extensions: new Map([['permit-port-forwarding', '']]),
})

const verifyFor =
  (policy: Partial<Parameters<typeof checkCertificate>[1]> = {}): ConnectOptions['verifyHostKey'] =>
  async ({certificate}) => {
    if (!certificate) throw new Error('a plain key')
    checkCertificate(certificate, {
      kind: 'host',
      authorities: [hostAuthority.publicBlob],
      principal: hostName,
      now: Date.now(),
      ...policy,
    })
  }

async function dial(port: number): Promise<Duplex> {
  const socket = connectTcp(port, '127.0.0.1')
  await once(socket, 'connect')
  return socket
}

const logIn = async (options: Partial<ConnectOptions> = {}, port = target.port): Promise<SshConnection> =>
  connect({
    stream: await dial(port),
    username: target.user,
    credentials: async () => [{blob: userCertificate, signer: signerFromKey(userKey)}],
    verifyHostKey: verifyFor(),
    timeoutMilliseconds: 10_000,
    ...options,
  })

interface Ended {
  stdout: Buffer
  stderr: Buffer
  status: number | string | undefined
}

async function exec(connection: SshConnection, command: string, input: Buffer | string = ''): Promise<Ended> {
  const channel = await connection.openChannel('session')
  let status: number | string | undefined
  channel.onRequest = ({type, data, reply}) => {
    if (type === 'exit-status') status = data.readUInt32BE(0)
    if (type === 'exit-signal') status = data.subarray(4, 4 + data.readUInt32BE(0)).toString()
    reply(true)
  }
  const closed = once(channel, 'close')
  expect(await channel.request('exec', new WireWriter().string(command).finish())).toBe(true)
  channel.end(input)
  const [stdout, stderr] = await Promise.all([drain(channel), drain(channel.stderr)])
  await closed
  return {stdout, stderr, status}
}

describe('on a real sshd', () => {
  const types: KeyType[] = ['ed25519', 'ecdsa', 'rsa']
  test.each(types)(
    'a user certificate over an %s key logs in, and a host certificate over one is verified',
    async type => {
      const sshd = await targetWith(type)
      const key = newKey(type)
      const blob = await certify(key, 'user', {principals: [sshd.user]})
      const connection = await logIn(
        {credentials: async () => [{blob, signer: signerFromKey(key)}]},
        sshd.port,
      )
      expect(connection.remoteIdent()).toMatch(/^SSH-2\.0-OpenSSH/)
      const {stdout, stderr, status} = await exec(connection, 'cat; echo oh >&2; exit 7', 'hello')
      expect([stdout.toString(), stderr.toString(), status]).toEqual(['hello', 'oh\n', 7])
      connection.disconnect()
      expect(await connection.closed).toBeUndefined()
      const log = await sshd.waitForLog(/Accepted publickey/)
      expect(log).toMatch(/-CERT SHA256:\S+ ID joe \(serial 7\) CA ED25519/)
      await sshd.stop()
    },
  )

  test('a certificate whose key is in a real agent logs in', async () => {
    const directory = temporaryDirectory()
    const agent = await startAgent(directory)
    const key = newKey('rsa')
    const identity = writePrivateFile(join(directory, 'id'), formatPrivateKey(key, 'me'))
    const certificate = await certify(key, 'user', {principals: [target.user]})
    writeFileSync(`${identity}-cert.pub`, `${formatAuthorizedKey(certificate)}\n`)
    expect(await sshAdd(['-q', identity], {env: agent.env})).toMatchObject({code: 0})
    const client = await connectAgent(agent.socket)
    const credentials = async (): Promise<Credential[]> =>
      (await client.list()).map(entry => ({blob: entry.blob, signer: agentSigner(client, entry)}))
    const connection = await logIn({credentials})
    expect((await exec(connection, 'echo in')).stdout.toString()).toBe('in\n')
    connection.disconnect()
    client.close()
    await agent.stop()
  })

  test.each(supportedKex)('%s', async name => {
    const connection = await logIn({algorithms: {kex: [name]}})
    expect((await exec(connection, 'echo in')).status).toBe(0)
    connection.disconnect()
  })

  test.each(supportedCiphers)('%s carries 3 MB each way', async name => {
    const connection = await logIn({algorithms: {ciphers: [name]}})
    const data = randomBytes(3_000_000)
    expect((await exec(connection, 'cat', data)).stdout.equals(data)).toBe(true)
    connection.disconnect()
  })

  test('both outputs beyond the window come through whole', async () => {
    const connection = await logIn()
    const size = 8_000_000
    const {stdout, stderr, status} = await exec(
      connection,
      `head -c ${size} /dev/zero | tr '\\0' e >&2 & head -c ${size} /dev/zero | tr '\\0' o; wait`,
    )
    expect(stdout.equals(Buffer.alloc(size, 'o')) && stderr.equals(Buffer.alloc(size, 'e'))).toBe(true)
    expect(status).toBe(0)
    connection.disconnect()
  })

  test('a command that dies of a signal says which', async () => {
    const connection = await logIn()
    expect((await exec(connection, 'kill -TERM $$')).status).toBe('TERM')
    connection.disconnect()
  })

  test('a status that comes long after the output has ended is not missed', async () => {
    const connection = await logIn()
    expect((await exec(connection, 'exec <&- >&- 2>&-; sleep 0.3; exit 9')).status).toBe(9)
    connection.disconnect()
  })

  test('many sessions at once on one connection', async () => {
    const connection = await logIn()
    const runs = Array.from({length: 9}, (_, index) => exec(connection, `sleep 0.05; echo ${index}`))
    expect((await Promise.all(runs)).map(({stdout}) => stdout.toString())).toEqual(
      Array.from({length: 9}, (_, index) => `${index}\n`),
    )
    connection.disconnect()
  })

  test('a port can be reached through it, and a closed one is refused with its reason', async () => {
    const echo = createServer(socket => socket.pipe(socket)).listen(0, '127.0.0.1')
    await once(echo, 'listening')
    const {port} = echo.address() as {port: number}
    const connection = await logIn()
    const open = (to: number): Promise<Channel> =>
      connection.openChannel(
        'direct-tcpip',
        new WireWriter().string('127.0.0.1').u32(to).string('127.0.0.1').u32(1).finish(),
      )
    const channel = await open(port)
    channel.end('through')
    expect((await drain(channel)).toString()).toBe('through')
    await new Promise(resolve => echo.close(resolve))
    await expect(open(port)).rejects.toMatchObject({reason: 2})
    await expect(open(port)).rejects.toBeInstanceOf(ChannelRefused)
    connection.disconnect()
  })

  test('answers to our global requests come back, refusals too', async () => {
    const connection = await logIn()
    const forward = new WireWriter().string('127.0.0.1').u32(0).finish()
    expect((await connection.request('tcpip-forward', forward))?.readUInt32BE(0)).toBeGreaterThan(1023)
    expect(await connection.request('no-such-request@sallyport')).toBeUndefined()
    connection.disconnect()
  })
})

describe('new keys during a transfer with a real sshd', () => {
  test('when sshd asks for them', async () => {
    const sshd = await targetWith('rsa', 'RekeyLimit 1M')
    const connection = await logIn({}, sshd.port)
    const data = randomBytes(8_000_000)
    expect((await exec(connection, 'cat', data)).stdout.equals(data)).toBe(true)
    connection.disconnect()
    await sshd.stop()
  })

  test('when we ask for them', async () => {
    const connection = await logIn({rekey: {bytes: 1_000_000, milliseconds: 1e9}})
    const data = randomBytes(8_000_000)
    expect((await exec(connection, 'cat', data)).stdout.equals(data)).toBe(true)
    connection.disconnect()
  })
})

describe('a real sshd is refused', () => {
  test('when the verdict on its certificate is no, however late', async () => {
    // Late on purpose: sshd has said all that it says unasked, and waits. Nothing here waits for it to be long enough.
    const later = (): Promise<void> => new Promise(resolve => setTimeout(resolve, 300))
    const slow = await logIn({
      verifyHostKey: async key => {
        await later()
        await verifyFor()(key)
      },
    })
    expect((await exec(slow, 'echo in')).status).toBe(0)
    slow.disconnect()
    const cases: [Partial<Parameters<typeof checkCertificate>[1]>, string][] = [
      [{principal: 'other.test'}, 'certificate_rejected'],
      [{authorities: [userAuthority.publicBlob]}, 'certificate_rejected'],
      [{now: Date.now() + 7_200_000}, 'certificate_expired'],
    ]
    for (const [policy, code] of cases) {
      const refusing = logIn({
        verifyHostKey: async key => {
          await later()
          await verifyFor(policy)(key)
        },
      })
      await expect(refusing).rejects.toMatchObject({code})
    }
    expect(target.log()).not.toMatch(/fatal/)
  })

  test('when it has a plain key only, unless that is allowed', async () => {
    const sshd = await startSshd({directory: temporaryDirectory(), trustedUserCa: userAuthority.publicBlob})
    await expect(logIn({}, sshd.port)).rejects.toMatchObject({
      code: 'host_key_refused',
      message: 'remote host presented a public key, expected a host certificate',
    })
    const connection = await logIn(
      {
        hostKeyAlgorithms: plainHostKeyAlgorithms,
        verifyHostKey: async ({blob}) => expect(blob).toEqual(sshd.hostKey),
      },
      sshd.port,
    )
    expect((await exec(connection, 'echo in')).status).toBe(0)
    connection.disconnect()
    await sshd.stop()
  })
})

describe('a real sshd refuses', () => {
  test('a plain key, another principal, another authority, and we say so', async () => {
    const key = newKey()
    const credentials: Credential[] = [
      {blob: publicKeyBlob(key), signer: signerFromKey(key)},
      {blob: await certify(key, 'user', {principals: ['nobody-here']}), signer: signerFromKey(key)},
      {
        blob: await certify(key, 'user', {principals: [target.user]}, signerFromKey(newKey())),
        signer: signerFromKey(key),
      },
    ]
    const since = target.log().length
    await expect(logIn({credentials: async () => credentials})).rejects.toMatchObject({
      code: 'target_refused',
      message: `the host refused to log in "${target.user}": none of the certificates offered was accepted`,
    })
    await target.waitForLog(/name is not a listed principal|does not contain/, since)
    // The good one behind the bad ones still gets in.
    const good = {blob: userCertificate, signer: signerFromKey(userKey)}
    const connection = await logIn({credentials: async () => [...credentials, good]})
    connection.disconnect()
  })

  test('a signature by another key than the certified one', async () => {
    const imposter = {blob: userCertificate, signer: signerFromKey(newKey())}
    await expect(logIn({credentials: async () => [imposter]})).rejects.toMatchObject({code: 'target_refused'})
  })

  test('more attempts than it likes: its own words reach us', async () => {
    const sshd = await targetWith('ed25519', 'MaxAuthTries 2')
    const strangers = await Promise.all(
      Array.from({length: 5}, async () => {
        const key = newKey()
        return {blob: await certify(key, 'user', {}, signerFromKey(newKey())), signer: signerFromKey(key)}
      }),
    )
    await expect(logIn({credentials: async () => strangers}, sshd.port)).rejects.toMatchObject({
      code: 'protocol_error',
      message: expect.stringContaining('Too many authentication failures'),
    })
    await sshd.stop()
  })
})

test('a target that is killed in mid-session ends the connection and its channels', async () => {
  const sshd = await targetWith('ed25519')
  const connection = await logIn({}, sshd.port)
  const channel = await connection.openChannel('session')
  expect(await channel.request('exec', new WireWriter().string('echo ready; sleep 60').finish())).toBe(true)
  await once(channel, 'data')
  const answer = channel.request('signal', new WireWriter().string('USR1').finish())
  const closed = once(channel, 'close')
  await sshd.stop()
  await connection.closed
  await closed
  expect(await answer).toBe(false)
})
