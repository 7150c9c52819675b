import {once} from 'node:events'
import {mkdirSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {beforeAll, describe, expect, it} from 'vitest'
import {stringify} from 'yaml'
import {parseAuthorizedKey, parsePrivateKey} from '../../src/lib/sshcert/index.js'
import {sallyport, startSallyport} from '../support/cluster.js'
import {eventually} from '../support/eventually.js'
import {login} from '../support/field.js'
import {type Machine, startMachine} from '../support/machines.js'
import {type Sshd, startSshd} from '../support/sshd.js'
import {temporaryDirectory} from '../support/temporary-directory.js'

/**
 * Clusters of several real processes: a node that reaches nothing but the tunnel port of the proxy and that nobody
 * connects to, and a leaf cluster whose hosts users of the root reach through the leaf's tunnel.
 */
const directory = temporaryDirectory()
const passwordFile = join(directory, 'password')
const home = join(directory, 'home')

const clusterConfig = (name: string, recording: string) => ({
  teleport: {nodename: name.split('.')[0]},
  auth_service: {
    ...{enabled: 'yes', cluster_name: name, listen_addr: '127.0.0.1:0', session_recording: recording},
    authentication: {type: 'local', second_factor: 'off'},
  },
  proxy_service: {
    ...{enabled: 'yes', listen_addr: '127.0.0.1:0', web_listen_addr: '127.0.0.1:0'},
    tunnel_listen_addr: '127.0.0.1:0',
  },
})

const tunnelOf = (machine: Machine): string => `127.0.0.1:${machine.addresses.tunnel?.port}`
const asJoe = (words: string[]) => sallyport(words, {env: {SALLYPORT_HOME: home}})
const must = async (answer: ReturnType<typeof sallyport>): Promise<string> => {
  const {code, stdout, stderr} = await answer
  if (code !== 0) throw new Error(stderr)
  return stdout
}

interface Trail {
  event: string
  success: boolean
  [field: string]: unknown
}
const trail = async (machine: Machine, event: string): Promise<Trail[]> =>
  JSON.parse(await must(machine.admin(['audit', 'ls', `--event=${event}`, '--format=json'])))

async function signUp(root: Machine): Promise<void> {
  const added = await must(root.admin(['users', 'add', 'joe', `joe,${login}`]))
  const url = /https:\/\/\S+\/web\/invite\/\S+/.exec(added)?.[0] ?? ''
  await must(sallyport(['signup', url, '--insecure', `--password-file=${passwordFile}`]))
  await must(
    asJoe([
      ...['login', `--proxy=127.0.0.1:${root.addresses.web?.port}`, '--user=joe', '--insecure'],
      ...[`--password-file=${passwordFile}`, '--key-store=file', '--no-use-local-ssh-agent'],
    ]),
  )
}

/** An sshd of the leaf, which users of the root may log in to. */
async function startTarget(leaf: Machine, root: Machine): Promise<Sshd> {
  const out = join(directory, 'target')
  await must(leaf.admin(['auth', 'sign', '--host=127.0.0.1', '--format=openssh', `--out=${out}`]))
  const userCa = (await must(root.admin(['auth', 'export', '--type=user']))).replace('cert-authority ', '')
  const place = join(directory, 'sshd')
  mkdirSync(place)
  return startSshd({
    directory: place,
    hostKey: parsePrivateKey(readFileSync(out, 'utf8')),
    hostCertificate: parseAuthorizedKey(readFileSync(`${out}-cert.pub`, 'utf8')).blob,
    trustedUserCa: parseAuthorizedKey(userCa).blob,
  })
}

let root: Machine

beforeAll(async () => {
  writeFileSync(passwordFile, 'correct horse battery\n')
  root = await startMachine({
    ...{directory: join(directory, 'root'), roles: 'auth,proxy'},
    config: clusterConfig('root.test', 'proxy'),
  })
  await signUp(root)
})

describe('a node behind NAT', () => {
  const config = () => ({
    teleport: {nodename: 'inner', proxy_server: tunnelOf(root)},
    auth_service: {enabled: 'no'},
    proxy_service: {enabled: 'no'},
    ssh_service: {enabled: 'yes', listen_addr: '127.0.0.1:0', labels: {place: 'inside'}},
  })
  let node: Machine
  const start = (args: string[] = []) =>
    startMachine({directory: join(directory, 'inner'), roles: 'node', config: config(), args})
  const listed = async () => JSON.parse(await must(asJoe(['ls', '--format=json'])))

  it('joins through the tunnel port, and is listed without an address', async () => {
    const {token, ca_pins: caPins} = JSON.parse(
      await must(root.admin(['tokens', 'add', '--type=node', '--format=json'])),
    )
    node = await start([`--token=${token}`, `--ca-pin=${caPins[0]}`])
    const [host] = await eventually(async () => {
      const hosts = await listed()
      return hosts.length > 0 ? hosts : undefined
    }, 'the node is listed')
    expect(host).toMatchObject({hostname: 'inner', labels: {place: 'inside'}})
    expect(host.address ?? null).toBeNull()
    expect((await asJoe(['ls'])).stdout).toContain('(tunnel)')
  })

  it('is reached by name, and its session is recorded', async () => {
    const ran = await eventually(async () => {
      const answer = await asJoe(['ssh', `${login}@inner`, 'echo through the tunnel; exit 3'])
      return answer.code === 3 ? answer : undefined
    }, 'the tunnel is open')
    expect(ran?.stdout).toBe('through the tunnel\n')
    const [row] = JSON.parse(await must(asJoe(['recordings', 'ls', '--host=inner', '--format=json'])))
    expect((await asJoe(['play', row.sid, '--format=raw'])).stdout).toBe('through the tunnel\n')
  })

  it('comes back by itself after the proxy was away', async () => {
    await node.stop()
    expect((await asJoe(['ssh', `${login}@inner`, 'true'])).stderr).toContain('[host_unreachable]')
    node = await start()
    await eventually(
      async () => ((await asJoe(['ssh', `${login}@inner`, 'true'])).code === 0 ? true : undefined),
      'the node is reached again',
    )
  })
})

describe('a leaf cluster', () => {
  let leaf: Machine
  let target: Sshd
  const startLeaf = () =>
    startMachine({
      ...{directory: join(directory, 'leaf'), roles: 'auth,proxy'},
      config: clusterConfig('leaf.test', 'proxy'),
    })
  const host = (): string[] => ['-p', String(target.port), `${login}@127.0.0.1`]
  const trustFile = (token: string, pin: string, roleMap: object[]): string => {
    const path = join(directory, 'trust.yaml')
    const spec = {token, ca_pin: pin, tunnel_addr: tunnelOf(root), role_map: roleMap}
    const resource = {kind: 'trusted_cluster', version: 'v1', metadata: {name: 'root.test'}, spec}
    writeFileSync(path, stringify(resource))
    return path
  }
  const trust = async (roleMap: object[], force: string[] = []) => {
    const made = await must(root.admin(['tokens', 'add', '--type=trusted_cluster', '--format=json']))
    const {token, ca_pins: caPins} = JSON.parse(made)
    return leaf.admin(['create', ...force, '-f', trustFile(token, caPins[0], roleMap)])
  }
  const clusters = async () => JSON.parse(await must(asJoe(['clusters', '--format=json'])))

  beforeAll(async () => {
    leaf = await startLeaf()
    target = await startTarget(leaf, root)
  })

  it('that nobody trusts is not known', async () => {
    const refused = await asJoe(['ssh', '--cluster=leaf.test', ...host(), 'true'])
    expect(refused.stderr).toContain('[host_not_found]')
    expect(await clusters()).toEqual([{name: 'root.test', status: 'online'}])
  })

  it('sends nothing to a root that the pin does not name', async () => {
    const path = trustFile('a'.repeat(32), `sha256:${'0'.repeat(64)}`, [
      {remote: 'access', local: ['access']},
    ])
    expect((await leaf.admin(['create', '-f', path])).stderr).toContain('nothing was sent to it')
  })

  it('is online once it trusts the root, whose users reach its hosts, recorded', async () => {
    expect(await trust([{remote: 'access', local: ['access']}])).toMatchObject({code: 0})
    await eventually(
      async () => ((await clusters())[1]?.status === 'online' ? true : undefined),
      'the leaf is online',
    )
    const ran = await asJoe(['ssh', '--cluster=leaf.test', ...host(), 'echo in the leaf; exit 5'])
    expect(ran).toMatchObject({code: 5, stdout: 'in the leaf\n'})
    const recorded = JSON.parse(await must(asJoe(['recordings', 'ls', '--format=json'])))
    expect((await asJoe(['play', recorded[0].sid, '--format=raw'])).stdout).toBe('in the leaf\n')
    const [connected] = await trail(leaf, 'session.connect')
    expect(connected).toMatchObject({
      ...{success: true, user: 'joe', login, user_cluster_name: 'root.test'},
      server_addr: `127.0.0.1:${target.port}`,
    })
  })

  it('decides by its own roles, and by labels of its own', async () => {
    const dir = join(directory, 'roles.yaml')
    const nobody = {kind: 'role', version: 'v1', metadata: {name: 'web-only'}}
    writeFileSync(dir, stringify({...nobody, spec: {allow: {logins: [login], node_labels: {env: 'web'}}}}))
    await must(leaf.admin(['create', '-f', dir]))
    expect(await trust([{remote: 'access', local: ['web-only']}], ['--force'])).toMatchObject({code: 0})
    const refused = await eventually(async () => {
      const answer = await asJoe(['ssh', '--cluster=leaf.test', ...host(), 'true'])
      return answer.stderr.includes('keeps no tunnel') ? undefined : answer
    }, 'the tunnel is open again')
    expect(refused?.code).not.toBe(0)
    expect(refused?.stderr).toContain('denied')
    const [event] = await trail(leaf, 'session.connect')
    expect(event).toMatchObject({success: false, user: 'joe', user_cluster_name: 'root.test'})
  })

  it('ends what is idle by its own roles, and says so', async () => {
    const path = join(directory, 'brief.yaml')
    const brief = {kind: 'role', version: 'v1', metadata: {name: 'brief'}}
    const allow = {logins: [login], node_labels: {'*': '*'}}
    writeFileSync(path, stringify({...brief, spec: {allow, options: {client_idle_timeout: '2s'}}}))
    await must(leaf.admin(['create', '-f', path]))
    expect(await trust([{remote: 'access', local: ['brief']}], ['--force'])).toMatchObject({code: 0})
    const idle = await eventually(async () => {
      const answer = await asJoe(['ssh', '--cluster=leaf.test', ...host(), 'exec sleep 60'])
      return answer.stderr.includes('keeps no tunnel') ? undefined : answer
    }, 'the tunnel is open again')
    expect(idle?.code).not.toBe(0)
    expect(idle?.stderr).toContain('nothing came or went for 2 s')
  })

  it('lets who is connected finish before it stops, and leads nobody else', async () => {
    expect(await trust([{remote: 'access', local: ['access']}], ['--force'])).toMatchObject({code: 0})
    const words = ['ssh', '--cluster=leaf.test', ...host()]
    await eventually(
      async () => ((await asJoe([...words, 'true'])).code === 0 ? true : undefined),
      'the tunnel is open again',
    )
    const child = startSallyport([...words, 'echo ready; read word; echo "got $word"'], {
      env: {SALLYPORT_HOME: home},
    })
    const [first] = (await once(child.stdout, 'data')) as [Buffer]
    expect(first.toString()).toBe('ready\n')
    const stopped = leaf.stop()
    const refused = await eventually(async () => {
      const answer = await asJoe([...words, 'true'])
      return answer.code === 0 ? undefined : answer
    }, 'the leaf is on its way out')
    expect(refused?.stderr).toContain('the proxy is shutting down')
    const rest: Buffer[] = []
    child.stdout.on('data', (chunk: Buffer) => rest.push(chunk))
    const gone = once(child, 'close')
    child.stdin.end('it all\n')
    expect(await gone).toEqual([0, null])
    expect(Buffer.concat(rest).toString()).toBe('got it all\n')
    expect(await stopped).toBe(0)
    leaf = await startLeaf()
  })

  it('is gone for users of the root when it trusts it no more', async () => {
    await must(leaf.admin(['rm', 'trusted_cluster/root.test']))
    await eventually(
      async () => ((await clusters())[1]?.status === 'offline' ? true : undefined),
      'the tunnel is closed',
    )
    expect((await asJoe(['ssh', '--cluster=leaf.test', ...host(), 'true'])).code).not.toBe(0)
    await must(root.admin(['rm', 'remote_cluster/leaf.test']))
    expect(await clusters()).toHaveLength(1)
  })
})
