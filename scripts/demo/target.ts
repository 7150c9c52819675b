import {once} from 'node:events'
import {mkdirSync, writeFileSync} from 'node:fs'
import {connect, createServer} from 'node:net'
import {startBuiltInTarget} from './built-in-target.js'
import type {Narrator} from './narrator.js'
import type {Stage} from './stage.js'

/** Files in the stage's directory that `auth export` and `auth sign` have written. */
const [hostKey, userCa] = ['host_key', 'user_ca.pub']

/** Starts a real sshd on a free loopback port; resolves to the port when it answers. */
export async function startSshdTarget(stage: Stage, narrator: Narrator, sshd: string): Promise<number> {
  // sshd insists on this empty directory when root runs it; the system's own start of sshd makes it too.
  if (process.getuid?.() === 0) mkdirSync('/run/sshd', {recursive: true, mode: 0o755})
  const port = await freePort()
  writeFileSync(stage.path('sshd_config'), configuration(stage, port))
  await narrator.run('cat sshd_config')
  await narrator.start(`${sshd} -D -e -f sshd_config`, 'sshd.log', () => answers(port))
  return port
}

const configuration = (stage: Stage, port: number): string =>
  [
    `ListenAddress 127.0.0.1:${port}`,
    `HostKey ${stage.path(hostKey)}`,
    `HostCertificate ${stage.path(`${hostKey}-cert.pub`)}`,
    `TrustedUserCAKeys ${stage.path(userCa)}`,
    'AuthorizedKeysFile none',
    'PasswordAuthentication no',
    'UsePAM no',
    'Subsystem sftp internal-sftp',
    'PidFile none',
    '',
  ].join('\n')

/** Starts the SSH server of this script; resolves to its port. */
export async function startOwnTarget(stage: Stage, login: string): Promise<number> {
  const target = await startBuiltInTarget({
    hostKey: stage.path(hostKey),
    trustedUserCa: stage.path(userCa),
    login,
  })
  stage.atEnd(target.close)
  return target.port
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('no TCP port')
  return address.port
}

function answers(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(port, '127.0.0.1')
    const answer = (heard: boolean) => (): void => {
      socket.destroy()
      resolve(heard)
    }
    socket.once('connect', answer(true))
    socket.once('error', answer(false))
  })
}
