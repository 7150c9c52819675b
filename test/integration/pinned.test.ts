import {readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {beforeAll, describe, expect, test, vi} from 'vitest'
import {stringify} from 'yaml'
import {parseAuthorizedKey, parseCertificate, pinTo} from '../../src/lib/sshcert/index.js'
import {sallyport} from '../support/cluster.js'
import {eventually} from '../support/eventually.js'
import {
  addToAgent,
  extensionsWithout,
  type Field,
  login,
  sshText,
  startField,
  type UserKey,
} from '../support/field.js'
import {startMachine} from '../support/machines.js'
import {writePrivateFile} from '../support/openssh.js'
import type {Sshd} from '../support/sshd.js'

// Everything is on loopback: a client that binds 127.0.0.2 is one from elsewhere, as the proxy and the nodes see it.

vi.setConfig({testTimeout: 60_000, hookTimeout: 90_000})

const elsewhere = '127.0.0.2'
const password = 'correct horse battery'

/** A cluster with a role that pins, and joe with it. */
async function openCluster(recording: 'proxy' | 'node'): Promise<{field: Field; target: Sshd}> {
  const field = await startField(
    {
      auth_service: {session_recording: recording},
      ssh_service: {labels: {env: 'test'}},
    },
    {roles: 'auth,proxy,node'},
  )
  const roles = join(field.directory, 'roles.yaml')
  const spec = {options: {pin_source_ip: true}}
  writeFileSync(roles, stringify({kind: 'role', version: 'v1', metadata: {name: 'pinned'}, spec}))
  await admin(field, 'create', '-f', roles)
  await admin(field, 'users', 'update', 'joe', '--roles=access,pinned')
  return {field, target: await field.target()}
}

async function admin({cluster}: Field, ...args: string[]): Promise<string> {
  const {code, stdout, stderr} = await cluster.admin(args)
  if (code !== 0) throw new Error(stderr)
  return stdout
}

const keyPinnedTo = async (field: Field, address?: string): Promise<UserKey> => {
  const pin = address === undefined ? undefined : pinTo(address)
  const key = await field.userKey({
    // In the order of their names.
    extensions: [...extensionsWithout(), ...(pin ? [pin] : [])].sort(([a], [b]) => (a < b ? -1 : 1)),
  })
  await addToAgent(field.agent, key)
  return key
}

/** Options that lead through the proxy, from this address. */
const through = (field: Field, key: UserKey, port: number, from?: string): string[] => [
  ...field
    .throughSubsystem(key)
    .map(word => (from ? word.replace(/^ProxyCommand=ssh /, `ProxyCommand=ssh -b ${from} `) : word)),
  ...['-p', String(port)],
]

/** Options that lead to the node directly. */
const direct = (field: Field, {path}: UserKey, from?: string): string[] => [
  ...['-F', 'none', '-o', 'BatchMode=yes', '-o', `UserKnownHostsFile=${field.knownHosts}`],
  ...['-o', 'IdentitiesOnly=yes', '-i', path, '-p', String(field.cluster.addresses.node?.port)],
  ...(from ? ['-b', from] : []),
]

describe('a pinned certificate, where the proxy records', () => {
  let field: Field
  let target: Sshd
  beforeAll(async () => {
    ;({field, target} = await openCluster('proxy'))
  })
  const reach = (words: string[], host = '127.0.0.1') =>
    sshText([...words, `${login}@${host}`, 'echo in'], {env: field.agent.env})
  const nodePort = (): number => field.cluster.addresses.node?.port ?? 0

  test('leads to plain sshd and to a node from its address, and the node believes the proxy', async () => {
    const key = await keyPinnedTo(field, elsewhere)
    expect(await reach(through(field, key, target.port, elsewhere))).toMatchObject({code: 0, stdout: 'in\n'})
    // The node sees the proxy's address, 127.0.0.1.
    expect(await reach(through(field, key, nodePort(), elsewhere), 'proxy-1')).toMatchObject({
      ...{code: 0, stdout: 'in\n'},
    })
    expect(await reach(direct(field, key, elsewhere))).toMatchObject({code: 0, stdout: 'in\n'})
  })

  test('leads nowhere from another address: not at the proxy, not at a node', async () => {
    const key = await keyPinnedTo(field, elsewhere)
    const words = 'it is good from the address of its login alone, and this connection comes from 127.0.0.1'
    for (const way of [
      through(field, key, target.port),
      through(field, key, nodePort()),
      direct(field, key),
    ]) {
      const {result, events} = await field.during(() => reach(way))
      expect(result).toMatchObject({code: 255, stdout: '', stderr: expect.stringContaining(words)})
      expect(events).toMatchObject([{event: 'auth', success: false}])
    }
  })

  test('has to be one: a certificate from before is refused, and says what helps', async () => {
    const key = await keyPinnedTo(field)
    for (const way of [through(field, key, target.port), direct(field, key)]) {
      const {code, stderr} = await reach(way)
      expect({code, stderr}).toEqual({
        code: 255,
        stderr: expect.stringContaining('this one is not pinned; log in again'),
      })
    }
  })

  test('is what login gives, and what auth sign refuses to', async () => {
    const secret = writePrivateFile(join(field.directory, 'password'), password)
    const made = await admin(field, 'users', 'reset', 'joe', '--format=json')
    const {url} = JSON.parse(made) as {url: string}
    expect(await sallyport(['signup', url, '--insecure', `--password-file=${secret}`])).toMatchObject({
      code: 0,
    })
    const out = join(field.directory, 'joe')
    const {ssh, web} = field.cluster.addresses
    const logged = await sallyport([
      ...['login', `--proxy=127.0.0.1:${web.port},${ssh.port}`, '--user=joe', `--password-file=${secret}`],
      ...['--insecure', `--out=${out}`, '--format=file'],
    ])
    expect(logged).toMatchObject({code: 0})
    const identity = readFileSync(out, 'utf8')
    const [line = ''] = /^ssh-\S+-cert-v01@openssh\.com .*$/m.exec(identity) ?? []
    const {extensions} = parseCertificate(parseAuthorizedKey(line).blob)
    expect(extensions.get('pin-source-ip@sallyport')).toBe('127.0.0.1')
    const signed = await field.cluster.admin(['auth', 'sign', '--user=joe', `--out=${out}-signed`])
    expect(signed.code).not.toBe(0)
    expect(signed.stderr).toContain(
      'certificates of joe are pinned to the address of the login, and here nobody logs in',
    )
  })
})

describe('a pinned certificate, where the proxy does not look inside', () => {
  let field: Field
  let target: Sshd
  beforeAll(async () => {
    ;({field, target} = await openCluster('node'))
  })
  const reach = (words: string[], host = '127.0.0.1') =>
    sshText([...words, `${login}@${host}`, 'echo in'], {env: field.agent.env})

  test('leads to plain sshd from its address alone', async () => {
    const key = await keyPinnedTo(field, elsewhere)
    expect(await reach(through(field, key, target.port, elsewhere))).toMatchObject({code: 0, stdout: 'in\n'})
    expect(await reach(through(field, key, target.port))).toMatchObject({code: 255, stdout: ''})
    const unpinned = await reach(through(field, await keyPinnedTo(field), target.port))
    expect(unpinned.stderr).toContain('this one is not pinned; log in again')
  })

  test('leads to a node by its tunnel, where the proxy says who comes', async () => {
    const made = await admin(field, 'tokens', 'add', '--type=node', '--format=json')
    const {token, ca_pins: caPins} = JSON.parse(made) as {token: string; ca_pins: string[]}
    const {tunnel} = field.cluster.addresses as unknown as {tunnel: {port: number}}
    await startMachine({
      ...{directory: join(field.directory, 'inner'), roles: 'node'},
      config: {
        teleport: {nodename: 'inner', proxy_server: `127.0.0.1:${tunnel.port}`},
        auth_service: {enabled: 'no'},
        proxy_service: {enabled: 'no'},
        ssh_service: {enabled: 'yes', listen_addr: '127.0.0.1:0'},
      },
      args: [`--token=${token}`, `--ca-pin=${caPins[0]}`],
    })
    const key = await keyPinnedTo(field, elsewhere)
    const way = (from?: string) => reach(through(field, key, 0, from).slice(0, -2), 'inner')
    await eventually(async () => (await way(elsewhere)).stdout === 'in\n', 'the node was reached')
    expect(await way()).toMatchObject({code: 255, stderr: expect.stringContaining('comes from 127.0.0.1')})
  })

  test('does not lead to a node that cannot tell where its client comes from', async () => {
    const key = await keyPinnedTo(field, elsewhere)
    const port = field.cluster.addresses.node?.port ?? 0
    const {code, stderr} = await reach(through(field, key, port, elsewhere), 'proxy-1')
    expect({code, stderr}).toEqual({
      code: 255,
      stderr: expect.stringContaining('this connection comes from 127.0.0.1'),
    })
    expect(await reach(direct(field, key, elsewhere))).toMatchObject({code: 0, stdout: 'in\n'})
  })
})
