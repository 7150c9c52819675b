import {type Duplex, PassThrough} from 'node:stream'
import {vi} from 'vitest'
import type {SessionOptions} from '../../../src/lib/access/types.js'
import type {Ping} from '../../../src/lib/auth/contract.js'
import {admit} from '../../../src/lib/node/admit.js'
import {serveNodeClient} from '../../../src/lib/node/connection.js'
import type {NodeProcess, ProcessExit, ProcessSpec} from '../../../src/lib/node/process/index.js'
import type {Admitted, NodeAuth, NodeSettings, NodeSystem} from '../../../src/lib/node/types.js'
import {createUserSockets} from '../../../src/lib/node/user-sockets.js'
import type {ConnectionGuard, ServedClient} from '../../../src/lib/session/index.js'
import type {SshConnection} from '../../../src/lib/ssh/index.js'
import {type CertificateFields, signerFromKey, WireWriter} from '../../../src/lib/sshcert/index.js'
import {everything, type FakeAuth, fakeAuth, openGuard, openHub} from '../forward/fixture.js'
import {certify, connectOn, hostAuthority, newKey, streamPair, userAuthority} from '../ssh/fixture.js'

export const hostId = '6f4c1a56-1f0e-4a8e-9a35-0d9c1c0d7c11'
const aDay = BigInt(Math.floor(Date.now() / 1000) + 86_400)

export interface FakeProcess extends NodeProcess {
  spec: ProcessSpec
  stdin: PassThrough
  stdout: PassThrough
  stderr: PassThrough
  /** What was done to it, in order. */
  calls: string[]
  /** Ends it; its output ends with it. */
  exit(exit?: ProcessExit): void
}

export function fakeProcess(spec: ProcessSpec): FakeProcess {
  let settle: (exit: ProcessExit) => void = () => undefined
  const exited = new Promise<ProcessExit>(resolve => {
    settle = resolve
  })
  const calls: string[] = []
  const fake: FakeProcess = {
    ...{spec, calls, exited, pid: 4711},
    ...(spec.terminal && {tty: '/dev/pts/9'}),
    stdin: new PassThrough(),
    stdout: new PassThrough(),
    stderr: new PassThrough(),
    resize: ({columns, rows}) => void calls.push(`resize ${columns}x${rows}`),
    signal(name) {
      calls.push(`signal ${name}`)
      return name !== 'NONE'
    },
    hangUp() {
      calls.push('hangUp')
      fake.exit({signal: 'HUP', coreDumped: false})
    },
    kill() {
      calls.push('kill')
      fake.stdout.write('last output')
      fake.exit({signal: 'KILL', coreDumped: false})
    },
    exit(exit = {code: 0}) {
      fake.stdout.end()
      fake.stderr.end()
      settle(exit)
    },
  }
  return fake
}

export interface WorldOptions {
  mode?: Ping['recording']
  options?: Partial<SessionOptions>
  guard?: ConnectionGuard
  system?: Partial<NodeSystem>
  settings?: Partial<NodeSettings>
  certificate?: Partial<CertificateFields>
}

export interface World {
  settings: NodeSettings
  auth: FakeAuth
  client: SshConnection
  node: ServedClient
  processes: FakeProcess[]
  warnings: string[]
  guard: ReturnType<typeof openGuard>
  /** Changes the cluster's mode of recording. */
  setMode(mode: Ping['recording']): void
}

const permits = ['permit-pty', 'permit-port-forwarding', 'permit-agent-forwarding']
export const extensions = new Map(permits.map(name => [name, '']))

export const nodeIdentity = async () => {
  const privateKey = newKey()
  return {privateKey, publicBlob: await certify(privateKey, 'host')}
}

/** A proxy's host certificate of the cluster. */
export const proxyIdentity = async () => {
  const privateKey = newKey()
  const publicBlob = await certify(privateKey, 'host', {
    principals: ['proxy-1'],
    extensions: new Map([['x-teleport-role', 'Proxy']]),
  })
  return {privateKey, publicBlob}
}

/** Settings of a node in memory, and what happens in it. */
export function nodeSettings(wish: WorldOptions = {}) {
  const auth = fakeAuth()
  const decided = {allowed: true, reason: 'test', options: {...everything, ...wish.options}} as const
  auth.decide = vi.fn(async () => decided)
  let mode = wish.mode ?? 'node'
  const processes: FakeProcess[] = []
  const warnings: string[] = []
  const guard = openGuard()
  const identity = nodeIdentity()
  let sessions = 0
  const system: NodeSystem = {
    account: async name => ({name, uid: 1000, gid: 1000, home: '/', shell: '/bin/sh', groups: [1000]}),
    environment: async ({sid}) => ({SSH_SESSION_ID: sid}),
    async start(spec) {
      const started = fakeProcess(spec)
      processes.push(started)
      return started
    },
    openAgent: async () => ({path: '/tmp/agent', close: async () => undefined}),
    ...wish.system,
  }
  const settings: NodeSettings = {
    auth: auth as unknown as NodeAuth,
    ...{system, hostId},
    guard: wish.guard ?? guard,
    hub: openHub(auth),
    locks: {check: () => undefined, watch: () => () => undefined},
    nodename: 'db1',
    labels: () => ({env: 'test'}),
    clusterName: 'test',
    recording: () => mode,
    hostIdentity: () => identity,
    authorities: async () => ({user: [userAuthority.publicBlob], host: [hostAuthority.publicBlob]}),
    graceMilliseconds: 60_000,
    keepAliveMilliseconds: 0,
    now: Date.now,
    sessionId: () => `10000000-0000-4000-8000-${String(++sessions).padStart(12, '0')}`,
    report: input => void auth.events.push(input),
    log: {warn: (_fields, message) => void warnings.push(message), info: vi.fn()},
    ...wish.settings,
  }
  const setMode = (next: Ping['recording']): void => {
    mode = next
  }
  return {settings, auth, processes, warnings, guard, setMode}
}

export const peer = {
  remoteAddress: '192.0.2.9:5000',
  localAddress: '192.0.2.7:3022',
  remoteIp: '192.0.2.9',
}

/** Somebody who comes for a login. */
export async function admitUser(settings: NodeSettings, stream: Duplex): Promise<Admitted> {
  const admitted = await admit(settings, peer, stream)
  if ('login' in admitted) return admitted
  throw new Error('they came to join')
}

/** A user's client at a node, both in memory. */
export async function world(wish: WorldOptions = {}): Promise<World> {
  const made = nodeSettings(wish)
  const key = newKey()
  const blob = await certify(key, 'user', {extensions, validBefore: aDay, ...wish.certificate})
  const [near, far] = streamPair()
  const serving = admitUser(made.settings, far).then(admitted =>
    serveNodeClient(made.settings, createUserSockets(1000), admitted, peer),
  )
  // Whoever connects is told why it is refused.
  serving.catch(() => undefined)
  const client = await connectOn(near, {
    username: 'root',
    credentials: async () => [{blob, signer: signerFromKey(key)}],
  })
  return {...made, client, node: await serving}
}

export const text = (value: string): Buffer => new WireWriter().string(value).finish()

export const pty = (columns = 80, rows = 24): Buffer =>
  new WireWriter().string('xterm').u32(columns).u32(rows).u32(0).u32(0).string('').finish()

/** A session that has started a program, and both. */
export async function running({client, processes}: World, command = 'sleep', terminal = false) {
  const channel = await client.openChannel('session')
  if (terminal && !(await channel.request('pty-req', pty()))) throw new Error('no terminal')
  if (!(await channel.request('exec', text(command)))) throw new Error('not started')
  const started = processes.at(-1)
  if (!started) throw new Error('nothing runs')
  return {channel, started}
}
