import {generateKeyPairSync} from 'node:crypto'
import {mkdirSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {formatAuthorizedKey, formatPrivateKey, publicKeyBlob} from '../../src/lib/sshcert/index.js'
import {eventually} from './eventually.js'
import {type Event, login, type MintedAuthorities, mintAuthorities} from './field.js'
import {type Machine, startMachine} from './machines.js'
import {addOnlookers, rolesOf} from './onlookers.js'
import {writePrivateFile} from './openssh.js'
import {sallyportPath} from './service.js'
import {temporaryDirectory} from './temporary-directory.js'
import {startTmux, type Tmux} from './tmux.js'

/** A session, as `sessions ls` prints it. */
export interface Running {
  sid: string
  state: string
  user: string
  host: string
  holder: string
  command: string | null
  participants: {user: string; mode: string}[]
}

/** A cluster whose auth service, proxies and nodes are processes of their own. */
export interface Spread {
  directory: string
  auth: Machine
  minted: MintedAuthorities
  /** A command of the administrator. @throws when it fails */
  admin(...args: string[]): Promise<string>
  proxy(nodename: string): Promise<Machine>
  /** One that is dialled, or one that is reached by its tunnel to this proxy alone. */
  node(nodename: string, tunnelTo?: Machine): Promise<Machine>
  identityOf(user: string): string
  /** A key of this user for stock clients, with a certificate as the cluster would give it, or as it never would. */
  key(user: string, wish?: {until?: number; authorities?: MintedAuthorities}): Promise<string>
  /** Options of a stock client with this key: `-J jump` leads through the proxy. */
  stock(key: string, proxy: Machine): string[]
  /** `host:port` of a node. */
  addressOf(nodename: string): Promise<{host: string; port: string}>
  /** A command as this user, who knows this proxy alone. */
  as(user: string, proxy: Machine, ...args: string[]): string[]
  inTerminal(words: readonly string[], size?: {columns: number; rows: number}): Tmux
  running(): Promise<Running[]>
  /** Waits for a session, the newest one that fits. */
  session(fits: Partial<Pick<Running, 'sid' | 'user' | 'holder' | 'state'>>): Promise<Running>
  /** Of a session, by what the audit log calls them, the oldest first. */
  events(sid: string, ...names: string[]): Promise<Event[]>
}

export const quoted = (words: readonly string[]): string => words.map(word => `'${word}'`).join(' ')

/** Whose sessions they look on at. */
const owner = {joe: 'access'}

/** Starts the auth service with the users; proxies and nodes are started by the test. */
export async function startSpread(recording: 'node' | 'proxy'): Promise<Spread> {
  const directory = temporaryDirectory()
  const place = join(directory, 'auth')
  mkdirSync(place, {mode: 0o700})
  const minted = await mintAuthorities(place)
  const auth = await startMachine({
    ...{directory: place, roles: 'auth'},
    config: {
      teleport: {nodename: 'auth-1'},
      auth_service: {
        ...{enabled: 'yes', cluster_name: 'test.example', listen_addr: '127.0.0.1:0'},
        ...{session_recording: recording, authentication: {type: 'local', second_factor: 'off'}},
      },
    },
  })
  const identityOf = (user: string): string => join(directory, `identity-${user}`)
  const admin = async (...args: string[]): Promise<string> => {
    const {code, stdout, stderr} = await auth.admin(args)
    if (code !== 0) throw new Error(stderr)
    return stdout
  }
  let keys = 0
  await addOnlookers({directory, admin, identityOf}, owner)
  const enrol = async (nodename: string, kind: 'proxy' | 'node', config: Record<string, unknown>) => {
    const made = await admin('tokens', 'add', `--type=${kind}`, '--format=json')
    const {token, ca_pins: caPins} = JSON.parse(made) as {token: string; ca_pins: string[]}
    return startMachine({
      ...{directory: join(directory, nodename), roles: kind, config},
      args: [`--token=${token}`, `--ca-pin=${caPins[0]}`],
    })
  }
  const teleport = {auth_servers: [`127.0.0.1:${auth.addresses.auth?.port}`]}
  const running = async (): Promise<Running[]> => JSON.parse(await admin('sessions', 'ls', '--format=json'))
  return {
    ...{directory, auth, minted, admin, identityOf, running},
    proxy: nodename =>
      enrol(nodename, 'proxy', {
        teleport: {...teleport, nodename},
        auth_service: {enabled: 'no'},
        proxy_service: {
          ...{enabled: 'yes', listen_addr: '127.0.0.1:0', web_listen_addr: '127.0.0.1:0'},
          tunnel_listen_addr: '127.0.0.1:0',
        },
      }),
    node: (nodename, tunnelTo) =>
      enrol(nodename, 'node', {
        teleport: tunnelTo
          ? {nodename, proxy_server: `127.0.0.1:${tunnelTo.addresses.tunnel?.port}`}
          : {...teleport, nodename},
        ...{auth_service: {enabled: 'no'}, proxy_service: {enabled: 'no'}},
        ssh_service: {enabled: 'yes', listen_addr: '127.0.0.1:0'},
      }),
    async key(user, {until = Date.now() + 3_600_000, authorities = minted} = {}) {
      const {privateKey} = generateKeyPairSync('ed25519')
      const extensions = ['permit-pty', 'permit-port-forwarding', 'permit-agent-forwarding']
      const names = rolesOf(user, owner)
      const certificate = await authorities.at(Math.min(Date.now(), until) - 60_000).issueUser({
        publicKey: publicKeyBlob(privateKey),
        ...{user, principals: [user, login]},
        validAfter: BigInt(Math.floor((Math.min(Date.now(), until) - 60_000) / 1000)),
        validBefore: BigInt(Math.floor(until / 1000)),
        extensions: new Map([
          ...extensions.map(name => [name, ''] as const),
          ['teleport-roles', JSON.stringify({version: 'v1', roles: names})],
        ]),
        criticalOptions: new Map(),
      })
      const path = join(directory, `key-${++keys}`)
      writePrivateFile(path, formatPrivateKey(privateKey, user))
      writeFileSync(`${path}-cert.pub`, `${formatAuthorizedKey(certificate)}\n`)
      return path
    },
    stock(key, {addresses: {ssh}}) {
      const knownHosts = join(directory, 'known_hosts')
      const [authority = Buffer.alloc(0)] = minted.authorities.publicKeys('host')
      writeFileSync(knownHosts, `@cert-authority * ${formatAuthorizedKey(authority)}\n`)
      const path = `${key}.conf`
      const common = {
        ...{BatchMode: 'yes', StrictHostKeyChecking: 'yes', UserKnownHostsFile: knownHosts},
        ...{IdentityFile: key, CertificateFile: `${key}-cert.pub`, IdentitiesOnly: 'yes'},
      }
      const lines = Object.entries(common).map(([name, value]) => ` ${name} ${value}\n`)
      const jump = `Host jump\n HostName 127.0.0.1\n Port ${ssh?.port}\n User anybody\n`
      writeFileSync(path, `${jump}Host *\n${lines.join('')}`)
      return ['-F', path]
    },
    async addressOf(nodename) {
      const hosts = JSON.parse(await admin('nodes', 'ls', '--format=json')) as {
        hostname: string
        address?: string
      }[]
      const [host = '', port = ''] = hosts.find(one => one.hostname === nodename)?.address?.split(':') ?? []
      return {host, port}
    },
    as: (user, {addresses: {web, ssh}}, ...args) => [
      ...args,
      `--proxy=127.0.0.1:${web?.port},${ssh?.port}`,
      `--identity=${identityOf(user)}`,
      '--insecure',
    ],
    inTerminal(words, size) {
      const tmux = startTmux({}, size)
      tmux.type(`clear; ${quoted([sallyportPath, ...words])}; echo "status $?"`)
      return tmux
    },
    session: fits =>
      eventually(
        async () =>
          (await running())
            .filter(one =>
              Object.entries(fits).every(([name, value]) => one[name as keyof Running] === value),
            )
            .at(-1),
        `a session is listed as ${JSON.stringify(fits)}`,
      ),
    async events(sid, ...names) {
      const trail = JSON.parse(await admin('audit', 'ls', '--format=json', '--limit=1000')) as Event[]
      return trail.filter(event => event.sid === sid && names.includes(event.event)).reverse()
    },
  }
}
