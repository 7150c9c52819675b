import {existsSync, mkdirSync, readdirSync, readFileSync} from 'node:fs'
import {join} from 'node:path'
import {parseAuthorizedKey, parsePrivateKey} from '../../src/lib/sshcert/index.js'
import type {Event} from './field.js'
import {type Machine, startMachine} from './machines.js'
import {type Sshd, startSshd} from './sshd.js'

// What tests of a cluster look at whose auth service is a machine of its own.

/** The audit log in a directory, oldest first, as far as it is written. */
export function trail(directory: string): Event[] {
  if (!existsSync(directory)) return []
  return readdirSync(directory)
    .filter(name => name.endsWith('.jsonl'))
    .sort()
    .flatMap(name => readFileSync(join(directory, name), 'utf8').split('\n'))
    .flatMap(line => {
      try {
        return [JSON.parse(line) as Event]
      } catch {
        // A line that is being written.
        return []
      }
    })
}

/** An sshd that trusts the cluster's users and has a host certificate of it for 127.0.0.1. */
export async function startTarget(directory: string, auth: Machine): Promise<Sshd> {
  const out = join(directory, 'target')
  await auth.admin(['auth', 'sign', '--host=127.0.0.1', '--format=openssh', `--out=${out}`])
  const userCa = (await auth.admin(['auth', 'export', '--type=user'])).stdout.replace('cert-authority ', '')
  mkdirSync(join(directory, 'sshd'))
  return startSshd({
    directory: join(directory, 'sshd'),
    hostKey: parsePrivateKey(readFileSync(out, 'utf8')),
    hostCertificate: parseAuthorizedKey(readFileSync(`${out}-cert.pub`, 'utf8')).blob,
    trustedUserCa: parseAuthorizedKey(userCa).blob,
  })
}

/** The auth service of a cluster, in `auth` below the directory: at a port of its choice, or where it was before. */
export const startAuth = (
  directory: string,
  recording: 'proxy' | 'proxy-sync' | 'node' | 'node-sync',
  port = 0,
): Promise<Machine> =>
  startMachine({
    ...{directory: join(directory, 'auth'), roles: 'auth'},
    config: {
      teleport: {nodename: 'auth-1'},
      auth_service: {
        ...{cluster_name: 'test.example', listen_addr: `127.0.0.1:${port}`, session_recording: recording},
        authentication: {type: 'local', second_factor: 'off'},
      },
    },
  })

/** The arguments with which a machine joins the cluster in this role. */
export async function joiningWords(auth: Machine, role: 'node' | 'proxy'): Promise<string[]> {
  const {stdout} = await auth.admin(['nodes', 'add', `--roles=${role}`])
  const words = /--token=\S+ --ca-pin=\S+/.exec(stdout)?.[0]
  if (words === undefined) throw new Error(stdout)
  return words.split(' ')
}
