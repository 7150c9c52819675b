import {type ChildProcess, spawn} from 'node:child_process'
import {once} from 'node:events'
import {readFileSync} from 'node:fs'
import {createServer, type Socket} from 'node:net'
import {homedir} from 'node:os'
import {problem} from '../../src/lib/errors/index.js'
import {acceptConnection, type Channel, type HostIdentity, openFailure} from '../../src/lib/ssh/index.js'
import {
  checkCertificate,
  parseAuthorizedKey,
  parsePrivateKey,
  WireReader,
  WireWriter,
} from '../../src/lib/sshcert/index.js'
import {killGroup} from './stage.js'

const graceMilliseconds = 30_000

export interface BuiltInTargetOptions {
  /** Path of the private host key; its certificate is beside it in `-cert.pub`. */
  hostKey: string
  /** File of the authority that user certificates must be signed by, as for TrustedUserCAKeys. */
  trustedUserCa: string
  /** The one login there is: that of the account that runs this. */
  login: string
}

export interface BuiltInTarget {
  port: number
  close(): Promise<void>
}

/**
 * The smallest host that a proxy can record: an SSH server on a free loopback port that lets certificates of the
 * user authority in and runs commands as the account it runs as. No terminals, ports or agents.
 */
export async function startBuiltInTarget(options: BuiltInTargetOptions): Promise<BuiltInTarget> {
  const identity: HostIdentity = {
    privateKey: parsePrivateKey(readFileSync(options.hostKey, 'utf8')),
    publicBlob: parseAuthorizedKey(readFileSync(`${options.hostKey}-cert.pub`, 'utf8')).blob,
  }
  const authority = parseAuthorizedKey(readFileSync(options.trustedUserCa, 'utf8')).blob
  const sockets = new Set<Socket>()
  const server = createServer({noDelay: true}, socket => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.on('close', () => sockets.delete(socket))
    serve(socket, identity, authority, options.login).catch(() => socket.destroy())
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no TCP port')
  return {
    port: address.port,
    async close() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

async function serve(
  stream: Socket,
  identity: HostIdentity,
  authority: Buffer,
  login: string,
): Promise<void> {
  const {connection} = await acceptConnection({
    stream,
    hostKeys: [identity],
    graceMilliseconds,
    judge(username, certificate) {
      if (username !== login) throw problem('access_denied', `the only login here is ${login}`)
      const remoteAddress = stream.remoteAddress ?? ''
      checkCertificate(certificate, {
        ...{kind: 'user', authorities: [authority], principal: username},
        ...{now: Date.now(), remoteAddress},
      })
      // It would have to be run in place of whatever is asked for.
      if (certificate.criticalOptions.has('force-command'))
        throw problem('access_denied', 'forced commands are not served here')
    },
  })
  connection.onChannelOpen = open => {
    if (open.type === 'session') serveSession(open.accept())
    else open.reject(openFailure.unknownChannelType, 'there are sessions here, and nothing else')
  }
}

function serveSession(channel: Channel): void {
  let child: ChildProcess | undefined
  channel.onClosed = () => child && killGroup(child, 'SIGHUP')
  channel.onRequest = ({type, data, reply}) => {
    if (child || (type !== 'exec' && type !== 'shell')) return reply(false)
    const command = type === 'exec' ? new WireReader(data).text() : undefined
    child = runCommand(channel, command)
    reply(true)
  }
}

/** Runs a command, or a shell that reads its commands from the channel, and reports its exit status. */
function runCommand(channel: Channel, command: string | undefined): ChildProcess {
  const {PATH = '/usr/bin:/bin', TERM, LANG} = process.env
  const home = homedir()
  const child = spawn('/bin/sh', command === undefined ? ['-s'] : ['-c', command], {
    env: {PATH, HOME: home, ...(TERM ? {TERM} : {}), ...(LANG ? {LANG} : {})},
    cwd: '/',
    stdio: 'pipe',
    detached: true,
  })
  child.stdin.on('error', () => undefined)
  channel.pipe(child.stdin)
  child.stdout.pipe(channel, {end: false})
  child.stderr.pipe(channel.stderr, {end: false})
  const finish = (status: number): void => {
    channel.end(() => {
      void channel.request('exit-status', new WireWriter().u32(status).finish(), false)
      channel.close()
    })
  }
  child.once('error', () => finish(127))
  child.once('close', status => finish(status ?? 255))
  return child
}
