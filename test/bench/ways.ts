import {writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {formatAuthorizedKey} from '../../src/lib/sshcert/index.js'
import {addToAgent, type Field, login, startField} from '../support/field.js'
import type {Sshd} from '../support/sshd.js'

/** One way to the same host. */
export interface Way {
  name: string
  about: string
  /** Options of ssh, scp and sftp alike. */
  options: string[]
  env: Record<string, string>
  port: number
  /** The process in the middle, whose CPU time counts. */
  pid?: number
  /** Where its recordings are. */
  recordings?: string
}

/** An sshd, and the ways to it that are compared. Each proxy is a service of its own, with everything as installed. */
export async function startWays(cipher: string | undefined): Promise<Way[]> {
  const recorded = await throughProxy('proxy')
  const unrecorded = await throughProxy('off')
  const strict = await throughProxy('proxy-sync')
  const {field, target} = recorded
  const common = [...(cipher === undefined ? [] : ['-c', cipher]), '-q']
  const jump = await field.target()
  const direct = await directOptions(field)
  const jumpConfig = join(field.directory, 'plain-jump')
  const settings = direct.settings.map(setting => ` ${setting.replace('=', ' ')}\n`).join('')
  const jumpHost = `Host plain-jump\n HostName 127.0.0.1\n Port ${jump.port}\n User ${login}\n`
  writeFileSync(jumpConfig, `${jumpHost}Host *\n${settings}`)
  const env = field.agent.env
  return [
    {name: 'direct', about: 'ssh to sshd', options: [...common, ...direct.options], env, port: target.port},
    {
      ...{name: 'jump', about: 'ssh -J by a plain sshd', env, port: target.port, pid: jump.pid},
      options: [...common, '-F', jumpConfig, '-J', 'plain-jump'],
    },
    {
      ...{name: 'off', about: 'Sallyport, session_recording: off', pid: unrecorded.field.cluster.pid},
      ...{env: unrecorded.field.agent.env, port: unrecorded.target.port},
      options: [...common, ...unrecorded.options],
    },
    {
      ...{name: 'recorded', about: 'Sallyport, every session recorded', pid: field.cluster.pid},
      ...{env, port: target.port, recordings: join(field.cluster.dataDir, 'recordings')},
      options: [...common, ...recorded.options],
    },
    {
      ...{
        name: 'strict',
        about: 'the same, nothing shown that is not durable',
        pid: strict.field.cluster.pid,
      },
      ...{env: strict.field.agent.env, port: strict.target.port, options: [...common, ...strict.options]},
      recordings: join(strict.field.cluster.dataDir, 'recordings'),
    },
  ]
}

async function throughProxy(
  recording: 'proxy' | 'proxy-sync' | 'off',
): Promise<{field: Field; target: Sshd; options: string[]}> {
  const field = await startField({auth_service: {session_recording: recording}})
  const target = await field.target()
  const key = await field.userKey()
  await addToAgent(field.agent, key)
  return {field, target, options: field.throughSubsystem(key)}
}

/** How a user of the recorded cluster gets to a host without a proxy. */
async function directOptions(field: Field): Promise<{options: string[]; settings: string[]}> {
  const key = await field.userKey()
  const [hostKey] = field.minted.authorities.publicKeys('host')
  if (!hostKey) throw new Error('no host authority')
  const knownHosts = join(field.directory, 'known_hosts_direct')
  writeFileSync(knownHosts, `@cert-authority * ${formatAuthorizedKey(hostKey)}\n`)
  const settings = [
    ...['BatchMode=yes', 'StrictHostKeyChecking=yes', `UserKnownHostsFile=${knownHosts}`],
    ...[`IdentityFile=${key.path}`, `CertificateFile=${key.path}-cert.pub`, 'IdentitiesOnly=yes'],
  ]
  return {settings, options: ['-F', 'none', ...settings.flatMap(setting => ['-o', setting])]}
}
