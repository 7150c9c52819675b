import {readFileSync, statSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {describe, expect, it} from 'vitest'
import {joiningWords, startAuth, startTarget, trail} from '../support/apart.js'
import {eventually} from '../support/eventually.js'
import {login, text} from '../support/field.js'
import {type Machine, startMachine} from '../support/machines.js'
import {type Agent, ssh, sshAdd, startAgent} from '../support/openssh.js'
import {temporaryDirectory} from '../support/temporary-directory.js'

/** Auth, proxy and node on machines of their own, a plain sshd, and a stock client with a certificate that exists already. */
interface Place {
  directory: string
  auth: Machine
  proxy: Machine
  node: Machine
  startAuth(): Promise<void>
  startProxy(): Promise<void>
  startNode(): Promise<void>
  /** Through the proxy to the node, and to the sshd. */
  toNode(command: string): Promise<{code: number; stdout: string; stderr: string}>
  toSshd(command: string): Promise<{code: number; stdout: string; stderr: string}>
  /** Of every session, oldest first. */
  sessions(): Map<string, string[]>
}

const clusterName = 'test.example'

interface Ports {
  ssh: number
  web: number
  tunnel: number
}

/** @param behindNat nobody connects to the node, which keeps a tunnel open to the proxy */
async function place(recording: 'proxy' | 'node', behindNat = false): Promise<Place> {
  const directory = temporaryDirectory()
  const auth = await startAuth(directory, recording)
  const authPort = auth.addresses.auth?.port ?? 0
  let tunnel = ''
  const elsewhere = {auth_servers: [`127.0.0.1:${authPort}`], advertise_ip: '127.0.0.1'}
  const startProxy = (args: readonly string[], ports: Ports): Promise<Machine> =>
    startMachine({
      ...{directory: join(directory, 'proxy'), roles: 'proxy', args: ['--diag-addr=127.0.0.1:0', ...args]},
      config: {
        teleport: {nodename: 'proxy-1', ...elsewhere},
        auth_service: {enabled: 'no'},
        proxy_service: {
          ...{enabled: 'yes', listen_addr: `127.0.0.1:${ports.ssh}`},
          tunnel_listen_addr: `127.0.0.1:${ports.tunnel}`,
          web_listen_addr: `127.0.0.1:${ports.web}`,
        },
      },
    })
  const startNode = (args: readonly string[], port: number): Promise<Machine> =>
    startMachine({
      ...{directory: join(directory, 'node'), roles: 'node', args},
      config: {
        teleport: {nodename: 'far1', ...(behindNat ? {proxy_server: tunnel} : elsewhere)},
        ...{auth_service: {enabled: 'no'}, proxy_service: {enabled: 'no'}},
        ssh_service: {enabled: 'yes', listen_addr: `127.0.0.1:${port}`},
      },
    })
  const proxy = await startProxy(await joiningWords(auth, 'proxy'), {ssh: 0, web: 0, tunnel: 0})
  const {ssh, web, tunnel: tunnels} = proxy.addresses
  const ports = {ssh: ssh?.port ?? 0, web: web?.port ?? 0, tunnel: tunnels?.port ?? 0}
  tunnel = `127.0.0.1:${ports.tunnel}`
  const node = await startNode(await joiningWords(auth, 'node'), 0)
  const target = await startTarget(directory, auth)
  const client = await stockClient(directory, auth, ports.ssh)
  const nodePort = String(node.addresses.node?.port)
  const here: Place = {
    ...{directory, auth, proxy, node},
    async startAuth() {
      here.auth = await startAuth(directory, recording, authPort)
    },
    async startProxy() {
      here.proxy = await startProxy([], ports)
    },
    async startNode() {
      here.node = await startNode([], Number(nodePort))
    },
    toNode: command => client([...(behindNat ? [] : ['-p', nodePort]), `${login}@far1`, command]),
    toSshd: command => client(['-p', String(target.port), `${login}@127.0.0.1`, command]),
    sessions() {
      const found = new Map<string, string[]>()
      for (const {sid, event} of trail(join(auth.dataDir, 'audit')))
        if (sid !== undefined) found.set(sid, [...(found.get(sid) ?? []), event])
      return found
    },
  }
  return here
}

/** Stock `ssh -A -J`, with a certificate of joe. */
async function stockClient(directory: string, auth: Machine, port: number) {
  const added = await auth.admin(['users', 'add', 'joe', `joe,${login}`])
  if (added.code !== 0) throw new Error(added.stderr)
  const identity = join(directory, 'joe')
  await auth.admin(['auth', 'sign', '--user=joe', '--format=openssh', `--out=${identity}`])
  const agent: Agent = await startAgent(directory)
  const loaded = await sshAdd(['-q', identity], {env: agent.env})
  if (loaded.code !== 0) throw new Error(loaded.stderr)
  const hostCa = (await auth.admin(['auth', 'export', '--type=host'])).stdout
  const knownHosts = join(directory, 'known_hosts')
  writeFileSync(knownHosts, `@cert-authority * ${/ssh-\S+ \S+/.exec(hostCa)?.[0]}\n`)
  const config = join(directory, 'ssh_config')
  const common = [
    ...['BatchMode yes', `UserKnownHostsFile ${knownHosts}`, 'StrictHostKeyChecking yes'],
    ...[`IdentityFile ${identity}`, `CertificateFile ${identity}-cert.pub`, 'IdentitiesOnly yes'],
  ]
  const jump = `Host jump\n HostName 127.0.0.1\n Port ${port}\n User joe\n ForwardAgent yes\n`
  writeFileSync(config, `${jump}Host *\n${common.map(line => ` ${line}\n`).join('')}`)
  return async (words: readonly string[]) =>
    text(await ssh(['-F', config, '-A', '-J', 'jump', ...words], {env: agent.env, deadline: 60_000}))
}

const whole = ['session.start', 'session.upload', 'exec', 'session.data', 'session.end']
const said = (stdout: string) => ({code: 0, stdout: `${stdout}\n`, stderr: ''})
/** A tunnel takes a moment; until it is open nobody gets as far as a session. */
const reached = (here: Place) =>
  eventually(async () => !(await here.toNode('true')).stderr.includes('tunnel'), 'the node is reached')
const begins = 'this starts from what it said of the cluster last'

describe.each(['proxy', 'node'] as const)(
  'the auth service is away, and the cluster records at the %s',
  mode => {
    it('machines that are killed start again, take people in, and tell all of it once later', async () => {
      // A node behind NAT reaches the auth service through the proxy, too.
      const here = await place(mode, mode === 'node')
      await reached(here)
      expect(await here.toNode('echo before')).toEqual(said('before'))
      const known = here.sessions().size
      await here.auth.stop('SIGKILL')
      await Promise.all([here.proxy.stop('SIGKILL'), here.node.stop('SIGKILL')])
      await here.startNode()
      await here.startProxy()
      expect(here.proxy.log()).toContain(begins)
      expect(here.node.log()).toContain(begins)
      await reached(here)
      expect(await here.toNode('echo in the dark')).toEqual(said('in the dark'))
      if (mode === 'proxy') expect(await here.toSshd('echo on sshd')).toEqual(said('on sshd'))
      expect(here.sessions().size).toBe(known)

      const {port} = here.proxy.addresses.diagnostics ?? {}
      const health = await fetch(`http://127.0.0.1:${port}/readyz`)
      expect([health.status, await health.json()]).toMatchObject([
        200,
        {status: 'ok', roles: [{role: 'proxy', auth: 'away', known_seconds: expect.any(Number)}]},
      ])

      const env = {SALLYPORT_HOME: join(here.directory, 'nobody')}
      const status = await here.proxy.admin(['status', '--format=json'], {env})
      expect(JSON.parse(status.stdout)).toMatchObject({
        ...{active: null, cluster: null},
        service: {status: 'ok', roles: [{role: 'proxy', auth: 'away'}]},
      })
      expect((await here.node.admin(['status'], {env})).stdout).toMatch(
        /^Service on this machine\n {2}Role: {9}node\n {2}Auth service: away\n {2}Decides by: {3}what it knew \d/,
      )

      await here.startAuth()
      const invited = await here.auth.admin(['nodes', 'add'])
      const [pin] = /sha256:[0-9a-f]{64}/.exec(invited.stdout) ?? []
      const shown = await here.auth.admin(['status', '--format=json'], {env})
      expect(JSON.parse(shown.stdout)).toMatchObject({
        service: null,
        cluster: {name: clusterName, session_recording: mode, ca_pins: [pin]},
      })
      expect((await here.auth.admin(['status'], {env})).stdout).toContain(`  CA pin:       ${pin}\n`)
      const expected = mode === 'proxy' ? 3 : 2
      const told = () => [...here.sessions().values()].slice(known)
      await eventually(
        () => told().filter(names => names.includes('session.end')).length === expected,
        'all of it is delivered',
      )
      for (const names of told()) expect(names).toEqual(whole)
      for (const sid of [...here.sessions().keys()].slice(known))
        expect(await here.auth.admin(['recordings', 'verify', sid])).toMatchObject({code: 0})
      const played = await Promise.all(
        [...here.sessions().keys()].slice(known).map(sid => here.auth.admin(['play', sid, '--format=raw'])),
      )
      const outputs = ['', 'in the dark\n', ...(mode === 'proxy' ? ['on sshd\n'] : [])]
      expect(played.map(({stdout}) => stdout).sort()).toEqual(outputs)
      expect(await here.auth.admin(['audit', 'verify'])).toMatchObject({code: 0})

      // By themselves they are what they were: a decision of now counts.
      expect(await here.toNode('echo after')).toEqual(said('after'))
      await here.auth.admin(['users', 'update', 'joe', '--logins=joe'])
      await eventually(async () => (await here.toNode('true')).code === 255, 'the decision of now counts')
    }, 180_000)
  },
)

describe('a machine that starts while the auth service is away', () => {
  it('keeps out whom a lock was against, and says what it lacks where it cannot start', async () => {
    const here = await place('node')
    await here.auth.admin(['lock', '--user=joe'])
    const refused = await here.toNode('true')
    expect(refused.stderr).toContain('the user joe is locked')
    for (const [machine, role] of [
      ['proxy', 'proxy'],
      ['node', 'node'],
    ] as const) {
      const file = join(here.directory, machine, 'data', `${role}.cluster`)
      await eventually(() => readFileSync(file, 'utf8').includes('"joe","created"'), 'the lock is kept')
      expect(statSync(file).mode & 0o777).toBe(0o600)
    }
    await here.auth.stop('SIGKILL')
    await Promise.all([here.proxy.stop('SIGKILL'), here.node.stop('SIGKILL')])
    await here.startNode()
    await here.startProxy()
    expect((await here.toNode('true')).stderr).toContain('the user joe is locked')

    await Promise.all([here.proxy.stop(), here.node.stop()])
    const file = join(here.directory, 'proxy', 'data', 'proxy.cluster')
    const kept = readFileSync(file)
    kept.writeUInt8(kept.readUInt8(400) ^ 1, 400)
    writeFileSync(file, kept)
    await expect(here.startProxy()).rejects.toThrow(
      /what was kept of the cluster does not do: it is damaged; start this again .*\[unavailable\]/,
    )
    await here.startAuth()
    await here.startProxy()
    expect(readFileSync(file).equals(kept)).toBe(false)
  }, 180_000)
})
