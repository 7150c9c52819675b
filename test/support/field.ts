import {generateKeyPairSync, type KeyObject} from 'node:crypto'
import {copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync} from 'node:fs'
import {userInfo} from 'node:os'
import {join} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'
import {openSqliteBackend} from '../../src/lib/backend/index.js'
import {type Authorities, openAuthorities} from '../../src/lib/pki/index.js'
import {formatAuthorizedKey, formatPrivateKey, publicKeyBlob} from '../../src/lib/sshcert/index.js'
import {atEnd} from './cleanup.js'
import {type Cluster, type ClusterOptions, startCluster} from './cluster.js'
import {type Agent, ssh, sshAdd, startAgent, writePrivateFile} from './openssh.js'
import type {RunOptions, RunResult} from './process.js'
import {type Sshd, type SshdOptions, startSshd} from './sshd.js'
import {temporaryDirectory} from './temporary-directory.js'

export const login = userInfo().username
const clusterName = 'test.example'

export interface UserWish {
  user?: string
  principals?: readonly string[]
  /** Unix ms. */
  from?: number
  until?: number
  extensions?: Iterable<readonly [string, string]>
  criticalOptions?: Iterable<readonly [string, string]>
  /** Default: the cluster's; another cluster's, for certificates that are not believed here. */
  authorities?: MintedAuthorities
}

export interface UserKey {
  /** Path of the private key; the certificate lies beside it. */
  path: string
  privateKey: KeyObject
  certificate: Buffer
}

/** A cluster's authorities outside of the service: they sign what the service would refuse to sign. */
export interface MintedAuthorities {
  authorities: Authorities
  /** Sets the clock by which validity is checked at signing, so that expired certificates can be had. */
  at(time: number): Authorities
}

export interface Field {
  cluster: Cluster
  directory: string
  agent: Agent
  minted: MintedAuthorities
  /** A known_hosts file that trusts the host CA for every name. */
  knownHosts: string
  /** Makes a key with a user certificate, by default joe's, valid for an hour. */
  userKey(wish?: UserWish): Promise<UserKey>
  /** Options of a stock client that goes through the proxy's subsystem as this user. */
  throughSubsystem(key: UserKey, options?: {forwardAgent?: boolean; port?: number}): string[]
  /** The same with `-J`. The second half of the options goes to the jump alone. */
  throughJump(key: UserKey, options?: {forwardAgent?: boolean; jump?: string}): string[]
  /** Options of a stock client that goes straight to the node, where one is among the roles. */
  straight(key: UserKey): string[]
  /** An sshd that trusts the user CA and has a host certificate for 127.0.0.1 and localhost. */
  target(options?: Partial<SshdOptions>, host?: {principals?: string[]; until?: number}): Promise<Sshd>
  /** The audit log, oldest first. */
  events(): Event[]
  recordings(): RecordingFile[]
  /** What was written to the audit log while `action` ran, and what came of it. */
  during<Result>(action: () => Promise<Result>): Promise<{result: Result; events: Event[]}>
}

export interface Event {
  event: string
  code: string
  success: boolean
  sid?: string
  error?: string
  [field: string]: unknown
}

export interface RecordingFile {
  sid: string
  path: string
  sealed: boolean
}

/**
 * A running cluster with the user joe, an ssh-agent, and a copy of its authorities, made before it began: certificates
 * that no service would issue come from there, so the product needs no back door for tests.
 */
export async function startField(
  config: ClusterOptions['config'] = {},
  {roles = 'auth,proxy'}: Pick<ClusterOptions, 'roles'> = {},
): Promise<Field> {
  const directory = temporaryDirectory()
  const minted = await mintAuthorities(directory)
  const cluster = await startCluster({directory, config, roles})
  const added = await cluster.admin(['users', 'add', 'joe', `joe,${login},ec2-user,nobody-here`])
  if (added.code !== 0) throw new Error(added.stderr)
  const agent = await startAgent(directory)
  const knownHosts = join(directory, 'known_hosts')
  const [hostKey] = minted.authorities.publicKeys('host')
  if (!hostKey) throw new Error('no host authority')
  writeFileSync(knownHosts, `@cert-authority * ${formatAuthorizedKey(hostKey)}\n`)
  let keys = 0
  let hosts = 0
  const proxyPort = cluster.addresses.ssh.port
  const trust = ['BatchMode=yes', `UserKnownHostsFile=${knownHosts}`, 'StrictHostKeyChecking=yes']
  const identity = ({path}: UserKey): string[] => [
    `IdentityFile=${path}`,
    `CertificateFile=${path}-cert.pub`,
    'IdentitiesOnly=yes',
  ]
  const events = (): Event[] => readEvents(join(cluster.dataDir, 'audit'))
  return {
    ...{cluster, directory, agent, minted, knownHosts, events},
    async userKey(wish = {}) {
      const {authorities = minted} = wish
      const {from = Date.now() - 60_000, until = Date.now() + 3_600_000} = wish
      const {privateKey} = generateKeyPairSync('ed25519')
      const certificate = await authorities.at(from).issueUser({
        publicKey: publicKeyBlob(privateKey),
        user: wish.user ?? 'joe',
        principals: wish.principals ?? ['joe', login, 'nobody-here'],
        validAfter: BigInt(Math.floor(from / 1000)),
        validBefore: BigInt(Math.floor(until / 1000)),
        extensions: new Map(wish.extensions ?? userExtensions),
        criticalOptions: new Map(wish.criticalOptions ?? []),
      })
      const path = join(directory, `user-${++keys}`)
      writePrivateFile(path, formatPrivateKey(privateKey, 'joe'))
      writeFileSync(`${path}-cert.pub`, `${formatAuthorizedKey(certificate)}\n`)
      return {path, privateKey, certificate}
    },
    throughSubsystem(key, {forwardAgent = true, port = proxyPort} = {}) {
      const settings = [...trust, ...identity(key), `ForwardAgent=${forwardAgent ? 'yes' : 'no'}`]
      const words = ['-F', 'none', ...settings.flatMap(setting => ['-o', setting])]
      const proxy = `ssh ${words.join(' ')} -p ${port} joe@127.0.0.1 -s proxy:%h:%p`
      return [...words, '-o', `ProxyCommand=${proxy}`]
    },
    throughJump(key, {forwardAgent = true, jump = ''} = {}) {
      const path = join(directory, `jump-${++hosts}`)
      const common = [...trust, ...identity(key)].map(setting => ` ${setting.replace('=', ' ')}\n`).join('')
      writeFileSync(
        path,
        `Host jump\n HostName 127.0.0.1\n Port ${proxyPort}\n User joe\n${jump}Host *\n${common}`,
      )
      return ['-F', path, ...(forwardAgent ? ['-A'] : []), '-J', 'jump']
    },
    straight(key) {
      const settings = [...trust, ...identity(key), `Port=${cluster.addresses.node?.port}`]
      return ['-F', 'none', ...settings.flatMap(setting => ['-o', setting])]
    },
    async target(options = {}, {principals = ['127.0.0.1', 'localhost'], until} = {}) {
      const place = join(directory, `target-${++hosts}`)
      mkdirSync(place)
      const {privateKey} = generateKeyPairSync('ed25519')
      const hostCertificate = await minted.at(Math.min(Date.now(), (until ?? Infinity) - 120_000)).issueHost({
        publicKey: publicKeyBlob(privateKey),
        principals,
        keyId: 'target',
        validBefore: BigInt(Math.floor((until ?? Date.now() + 3_600_000) / 1000)),
      })
      return startSshd({
        directory: place,
        hostKey: privateKey,
        hostCertificate,
        trustedUserCa: minted.authorities.publicKeys('user'),
        ...options,
      })
    },
    recordings: () => readRecordings(join(cluster.dataDir, 'recordings')),
    async during(action) {
      const before = events().length
      const result = await action()
      // A refused login is told and put on record at the same time, so the record may come second.
      await settled(() => events().length)
      return {result, events: events().slice(before)}
    },
  }
}

const userExtensions: readonly (readonly [string, string])[] = [
  ['permit-pty', ''],
  ['permit-port-forwarding', ''],
  ['permit-agent-forwarding', ''],
  ['teleport-roles', JSON.stringify({version: 'v1', roles: ['access']})],
]

/** What a certificate of joe permits, without some of it. */
export const extensionsWithout = (...names: string[]): (readonly [string, string])[] =>
  userExtensions.filter(([name]) => !names.includes(name))

/** Makes a cluster's state and keeps a copy of it, with which to sign while the service has the original. */
export async function mintAuthorities(directory: string): Promise<MintedAuthorities> {
  const dataDir = join(directory, 'data')
  const copy = join(directory, 'authorities.db')
  mkdirSync(dataDir, {mode: 0o700})
  const path = join(dataDir, 'state.db')
  const original = await openSqliteBackend({path})
  await openAuthorities({backend: original, clusterName})
  await original.close()
  copyFileSync(path, copy)
  const backend = await openSqliteBackend({path: copy})
  atEnd(() => backend.close())
  let clock: number | undefined
  const authorities = await openAuthorities({backend, clusterName, now: () => clock ?? Date.now()})
  return {
    authorities,
    at(time) {
      clock = time
      return authorities
    },
  }
}

function readEvents(directory: string): Event[] {
  return readdirSync(directory)
    .filter(name => /^events-.*\.jsonl$/.test(name))
    .sort()
    .flatMap(name => readFileSync(join(directory, name), 'utf8').split('\n'))
    .filter(line => line !== '')
    .map(line => JSON.parse(line) as Event)
}

function readRecordings(directory: string): RecordingFile[] {
  return readdirSync(directory, {recursive: true, encoding: 'utf8'})
    .filter(name => name.endsWith('.index.jsonl'))
    .map(name => {
      const lines = readFileSync(join(directory, name), 'utf8').trim().split('\n')
      const last = JSON.parse(lines.at(-1) ?? '{}') as Record<string, unknown>
      const path = join(directory, name.replace(/\.index\.jsonl$/, '.cast.gz'))
      const sid = name.replace(/^.*\//, '').replace(/\.index\.jsonl$/, '')
      return {sid, path, sealed: JSON.stringify(last).includes('signature')}
    })
}

/** Puts a key and its certificate into an agent. */
export async function addToAgent(agent: Agent, key: UserKey): Promise<void> {
  const added = await sshAdd(['-q', key.path], {env: agent.env})
  if (added.code !== 0) throw new Error(added.stderr)
}

export const text = (result: RunResult): {code: number; stdout: string; stderr: string} => ({
  ...result,
  stdout: result.stdout.toString('utf8'),
})

/** A field with a key of joe's in its agent. */
export async function startFieldWithKey(
  ...parameters: Parameters<typeof startField>
): Promise<{field: Field; key: UserKey}> {
  const field = await startField(...parameters)
  const key = await field.userKey()
  await addToAgent(field.agent, key)
  return {field, key}
}

/** The same with an sshd, which joe may log in to through the proxy. */
export async function startFieldWithTarget(
  ...parameters: Parameters<typeof startField>
): Promise<{field: Field; key: UserKey; target: Sshd}> {
  const place = await startFieldWithKey(...parameters)
  return {...place, target: await place.field.target()}
}

/** What a stock client needs to get to an sshd through the proxy. */
export interface Shell {
  env: Record<string, string>
  /** Options that lead through the proxy. */
  through: string[]
  /** Words that mean the login on the target, behind those options. */
  where: string[]
  /** Runs ssh to its end: words behind the host. */
  ssh(words: readonly string[], options?: RunOptions): Promise<ReturnType<typeof text>>
}

export function shellOf({agent, throughSubsystem}: Field, key: UserKey, {port}: Sshd): Shell {
  const {env} = agent
  const through = throughSubsystem(key)
  const where = ['-p', String(port), `${login}@127.0.0.1`]
  return {
    ...{env, through, where},
    ssh: (words, options = {}) => sshText([...through, ...where, ...words], {env, ...options}),
  }
}

export const sshText = async (args: readonly string[], options: RunOptions = {}) =>
  text(await ssh(args, options))

/** Waits until a count stays the same for a fifth of a second. */
async function settled(count: () => number): Promise<void> {
  for (let last = -1, now = count(); last !== now; now = count()) {
    last = now
    await sleep(200)
  }
}

/** Descriptors that a process has open. */
export const descriptors = (pid: number): string[] => readdirSync(`/proc/${pid}/fd`)

/** Largest resident memory of a process so far, in megabytes. */
export function peakMemory(pid: number): number {
  const kilobytes = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  return Number(kilobytes) / 1024
}
