import {writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {beforeAll, describe, expect, it} from 'vitest'
import {parse} from 'yaml'
import {formatIdentity} from '../../src/lib/client/identity/identity-file.js'
import {sallyport} from '../support/cluster.js'
import {
  addToAgent,
  type Event,
  extensionsWithout,
  type Field,
  login,
  shellOf,
  sshText,
  startField,
  type UserKey,
} from '../support/field.js'
import {writePrivateFile} from '../support/openssh.js'
import type {Sshd} from '../support/sshd.js'

// Several real hosts in the inventory, and users whose roles reach some of them by their labels.

const ids = {
  db: '11111111-1111-4111-8111-111111111111',
  web: '22222222-2222-4222-8222-222222222222',
  twinA: '33333333-3333-4333-8333-333333333333',
  twinB: '44444444-4444-4444-8444-444444444444',
}

interface World {
  field: Field
  db: Sshd
  web: Sshd
  twinA: Sshd
  twinB: Sshd
  /** Reaches what has env=prod. */
  joe: UserKey
  /** Reaches everything. */
  ann: UserKey
}

const node = (id: string, hostname: string, port: number, labels: Record<string, string>): string =>
  JSON.stringify({
    kind: 'node',
    sub_kind: 'openssh',
    version: 'v1',
    metadata: {name: id, labels},
    spec: {hostname, addr: `127.0.0.1:${port}`},
  })

/** The certificate of its holders has one login more. */
const role = (name: string, labels: Record<string, string>): string =>
  JSON.stringify({
    kind: 'role',
    version: 'v1',
    metadata: {name},
    spec: {
      allow: {logins: [login, 'joe'], node_labels: labels},
      options: {forward_agent: true},
    },
  })

const certified = (roles: string[]): (readonly [string, string])[] => [
  ...extensionsWithout('teleport-roles'),
  ['teleport-roles', JSON.stringify({version: 'v1', roles})],
]

async function startWorld(config: Parameters<typeof startField>[0] = {}): Promise<World> {
  const field = await startField(config)
  const host = (...names: string[]): Promise<Sshd> => field.target({}, {principals: names})
  const [db, web, twinA, twinB] = [
    await host('db-1', ids.db),
    await host('web-1', ids.web),
    await host('twin', ids.twinA),
    await host('twin', ids.twinB),
  ]
  const path = join(field.directory, 'inventory.yaml')
  const documents = [
    role('prod', {env: 'prod'}),
    node(ids.db, 'db-1', db.port, {env: 'prod', team: 'db'}),
    node(ids.web, 'web-1', web.port, {env: 'test'}),
    node(ids.twinA, 'twin', twinA.port, {env: 'prod', team: 'twins'}),
    node(ids.twinB, 'twin', twinB.port, {env: 'prod', team: 'twins'}),
  ]
  writeFileSync(path, documents.join('\n---\n'))
  const made = await field.cluster.admin(['create', '-f', path])
  if (made.code !== 0) throw new Error(made.stderr)
  await field.cluster.admin(['users', 'update', 'joe', '--roles=prod'])
  await field.cluster.admin(['users', 'add', 'ann', login])
  const joe = await field.userKey({extensions: certified(['prod'])})
  const ann = await field.userKey({user: 'ann', principals: [login]})
  await addToAgent(field.agent, joe)
  await addToAgent(field.agent, ann)
  return {field, db, web, twinA, twinB, joe, ann}
}

/** A stock client on its way to a host, through the proxy's subsystem or with it as jump host. */
const reach = (world: World, key: UserKey, words: string[], way: 'subsystem' | 'jump' = 'subsystem') => {
  const {field} = world
  const options = way === 'subsystem' ? field.throughSubsystem(key) : field.throughJump(key)
  return sshText([...options, ...words], {env: field.agent.env})
}

/** The product's client, with an identity file. */
const own = ({field}: World, key: UserKey, [command = '', ...rest]: string[]) => {
  const path = `${key.path}.identity`
  const hostAuthorities = field.minted.authorities.publicKeys('host')
  writePrivateFile(path, formatIdentity({...key, hostAuthorities, cluster: 'test.example'}))
  const {ssh, web} = field.cluster.addresses
  const flags = [`--proxy=127.0.0.1:${web.port},${ssh.port}`, `--identity=${path}`]
  const env = {
    SALLYPORT_HOME: join(field.directory, 'home'),
    NODE_EXTRA_CA_CERTS: join(field.cluster.dataDir, 'https.pem'),
  }
  const words = command === 'access' ? [command, rest.shift() ?? ''] : [command]
  return sallyport([...words, ...flags, ...rest], {env})
}

const ended = (events: Event[]): Event | undefined => events.find(({event}) => event === 'session.end')

describe('where the proxy records', () => {
  let world: World
  beforeAll(async () => {
    world = await startWorld()
  })

  it.each(['subsystem', 'jump'] as const)('a role leads to hosts with its labels alone (%s)', async way => {
    const {db, web, joe, field} = world
    const {result, events} = await field.during(() =>
      reach(world, joe, ['-p', String(db.port), `${login}@db-1`, 'echo in'], way),
    )
    expect(result).toMatchObject({code: 0, stdout: 'in\n'})
    expect(ended(events)).toMatchObject({
      ...{server_id: ids.db, server_hostname: 'db-1', server_addr: `127.0.0.1:${db.port}`},
      server_labels: {env: 'prod', team: 'db'},
    })
    const refused = await field.during(() =>
      reach(world, joe, ['-p', String(web.port), `${login}@web-1`, 'echo in'], way),
    )
    expect(refused.result.code).toBe(255)
    expect(refused.result.stdout).toBe('')
    expect(refused.events.map(({event}) => event)).not.toContain('session.start')
    expect(refused.events.some(({error}) => error?.includes('no role of joe allows the host web-1'))).toBe(
      true,
    )
  })

  it('a host that somebody may not see is refused in the same words as one that is not there', async () => {
    const said = async (name: string): Promise<string> =>
      (await own(world, world.joe, ['ssh', `${login}@${name}`, 'true'])).stderr.replaceAll(name, 'X')
    const hidden = await said('web-1')
    expect(hidden).toContain(
      'there is no host X among those that you may reach; `sallyport ls` shows them [host_not_found]',
    )
    expect(await said('web-9')).toBe(hidden)
    expect(await said(ids.web)).toBe(await said('99999999-9999-4999-8999-999999999999'))
  })

  it('tells a login that is not allowed from a host that is not there', async () => {
    const {code, stderr} = await own(world, world.joe, ['ssh', 'nobody-here@db-1', 'true'])
    expect(stderr).toContain('access to db-1 as nobody-here denied')
    expect(code).toBe(15)
  })

  it('leads to a host by its UUID, whatever the port', async () => {
    const {result, events} = await world.field.during(() =>
      reach(world, world.joe, [`${login}@${ids.db}`, 'echo in']),
    )
    expect(result).toMatchObject({code: 0, stdout: 'in\n'})
    expect(ended(events)).toMatchObject({server_id: ids.db, server_hostname: 'db-1'})
  })

  it('knows the port of a host where nobody names one, and says so where it is another', async () => {
    const {db, joe} = world
    expect(await own(world, joe, ['ssh', `${login}@db-1`, 'echo in'])).toMatchObject({
      code: 0,
      stdout: 'in\n',
    })
    const {code, stderr} = await own(world, joe, ['ssh', '-p', '9', `${login}@db-1`, 'echo in'])
    expect(stderr).toContain(
      `db-1 is not at port 9, but at ${db.port}; ask for port ${db.port} [host_not_found]`,
    )
    expect(code).toBe(24)
  })

  it('finds a registered host by the address it has, with its labels', async () => {
    const {db, web, joe} = world
    const {events, result} = await world.field.during(() =>
      own(world, joe, ['ssh', '-p', String(db.port), `${login}@127.0.0.1`, 'echo in']),
    )
    expect(result).toMatchObject({code: 0, stdout: 'in\n'})
    expect(ended(events)).toMatchObject({server_id: ids.db, server_hostname: 'db-1'})
    const other = await own(world, joe, ['ssh', '-p', String(web.port), `${login}@localhost`, 'echo in'])
    expect(other.code).toBe(24)
  })

  it('knows it for a stock client behind our ProxyCommand, which always names one', async () => {
    const {joe, field} = world
    const {ssh, web} = field.cluster.addresses
    await own(world, joe, ['ls'])
    const proxy = `${process.execPath} bin/run.js proxy ssh --proxy=127.0.0.1:${web.port},${ssh.port} -i ${joe.path}.identity %r@%h:%p`
    const options = ['BatchMode=yes', `UserKnownHostsFile=${field.knownHosts}`, `IdentityFile=${joe.path}`]
    const words = [...options, `CertificateFile=${joe.path}-cert.pub`, `ProxyCommand=${proxy}`]
    const way = ['-F', 'none', ...words.flatMap(word => ['-o', word]), `${login}@db-1`, 'echo in']
    const env = {NODE_EXTRA_CA_CERTS: join(field.cluster.dataDir, 'https.pem')}
    expect(await sshText(way, {env})).toMatchObject({code: 0, stdout: 'in\n'})
  })

  it('refuses to guess between two hosts of one name, and takes a UUID', async () => {
    const {twinA, joe} = world
    const {code, stderr} = await own(world, joe, ['ssh', `${login}@twin`, 'true'])
    expect(code).toBe(25)
    expect(stderr).toContain('twin means 2 hosts: ')
    expect(stderr).toContain(`${ids.twinA} (twin 127.0.0.1:${twinA.port})`)
    expect(stderr).toContain(ids.twinB)
    expect(stderr).toContain('name one by its UUID in place of its name [host_ambiguous]')
    expect(await own(world, joe, ['ssh', `${login}@${ids.twinB}`, 'echo in'])).toMatchObject({stdout: 'in\n'})
    // The port tells them apart as well.
    const chosen = await reach(world, joe, ['-p', String(twinA.port), `${login}@twin`, 'echo in'])
    expect(chosen).toMatchObject({code: 0, stdout: 'in\n'})
  })

  it('runs a command on every host with the labels', async () => {
    const many = await own(world, world.joe, ['ssh', `${login}@team=*`, 'echo one; echo two >&2; exit 3'])
    const lines = many.stdout.trim().split('\n').sort()
    expect(lines).toEqual(['db-1: one', `twin ${ids.twinA}: one`, `twin ${ids.twinB}: one`])
    expect(many.stderr.trim().split('\n').sort()[0]).toBe('db-1: two')
    expect(many.code).toBe(3)
    const single = await own(world, world.joe, ['ssh', `${login}@team=db`, 'echo one'])
    expect(single).toMatchObject({code: 0, stdout: 'one\n'})
    expect(await own(world, world.joe, ['ssh', `${login}@env=test`, 'echo one'])).toMatchObject({code: 24})
    expect(await own(world, world.joe, ['ssh', `${login}@env=prod`])).toMatchObject({code: 2})
  })

  it('shows everybody the hosts that they may reach', async () => {
    const names = async (key: UserKey, ...words: string[]): Promise<string[]> => {
      const {stdout, code} = await own(world, key, ['ls', '--format=names', ...words])
      expect(code).toBe(0)
      return stdout.split('\n').filter(line => line !== '')
    }
    expect(await names(world.joe)).toEqual(['db-1', 'twin', 'twin'])
    expect(await names(world.ann)).toEqual(['db-1', 'twin', 'twin', 'web-1'])
    expect(await names(world.joe, 'env=test')).toEqual([])
    expect(await names(world.joe, 'env=prod,team=db')).toEqual(['db-1'])
    expect(await names(world.ann, 'env=test')).toEqual(['web-1'])
    expect(await names(world.ann, '--search', 'PROD twin')).toEqual(['twin', 'twin'])
    const fits = '!(labels.team == "db") && (labels["env"] == "test" || hasPrefix(name, "tw"))'
    expect(await names(world.ann, '--query', fits)).toEqual(['twin', 'twin', 'web-1'])
    expect(await names(world.joe, '--query', fits)).toEqual(['twin', 'twin'])
    const wrong = await own(world, world.joe, ['ls', '--query', 'labels.env = "prod"'])
    expect(wrong).toMatchObject({code: 2, stderr: expect.stringContaining('wrong at character 12')})
    const all = JSON.parse((await world.field.cluster.admin(['nodes', 'ls', '--format=json'])).stdout)
    expect(all).toHaveLength(4)
    expect(all[0]).toEqual({
      ...{id: ids.db, kind: 'openssh', hostname: 'db-1', address: `127.0.0.1:${world.db.port}`},
      ...{labels: {env: 'prod', team: 'db'}, status: 'online'},
    })
  })

  it('writes them as a table, JSON, YAML, or names alone', async () => {
    const {joe, db} = world
    const ls = async (...words: string[]) => (await own(world, joe, ['ls', ...words, 'team=db'])).stdout
    const [heading, row, ...more] = (await ls()).split('\n')
    expect(heading?.split(/ {2,}/)).toEqual(['Host', 'Address', 'Labels', 'Status'])
    expect(row?.split(/ {2,}/)).toEqual(['db-1', `127.0.0.1:${db.port}`, 'env=prod,team=db', 'online'])
    expect(more).toEqual([''])
    const json = JSON.parse(await ls('--format=json'))
    expect(json).toMatchObject([{id: ids.db, hostname: 'db-1', labels: {env: 'prod', team: 'db'}}])
    expect(parse(await ls('--format=yaml'))).toEqual(json)
    expect(await ls('--format=names')).toBe('db-1\n')
    const none = await own(world, joe, ['ls', 'env=nowhere'])
    expect(none).toMatchObject({code: 0, stdout: 'There is no such host that you may reach.\n'})
    expect((await own(world, joe, ['ls', 'env=nowhere', '--format=json'])).stdout).toBe('[]\n')
  })

  it('says in an explanation which labels it looked at', async () => {
    const {admin} = world.field.cluster
    const about = async (target: string) => admin(['access', 'explain', target, `--login=${login}`])
    for (const target of ['joe@db-1', `joe@${ids.db}`]) {
      const {code, stdout} = await about(target)
      expect(code).toBe(0)
      expect(stdout).toContain('env=prod,team=db')
    }
    expect(await about('joe@web-1')).toMatchObject({code: 15})
    expect(await about('joe@twin')).toMatchObject({code: 25})
    const mine = await own(world, world.joe, ['access', 'explain', 'joe@web-1', `--login=${login}`])
    expect(mine.code).toBe(15)
    expect(mine.stdout).not.toContain('env=test')
  })

  it('locks a host by any of its names', async () => {
    const {admin} = world.field.cluster
    for (const name of [ids.db, 'db-1']) {
      const locked = await admin(['lock', '--node', name, '--format=json'])
      const {id} = JSON.parse(locked.stdout) as {id: string}
      const {stderr} = await own(world, world.joe, ['ssh', `${login}@db-1`, 'true'])
      expect(stderr).toContain(`the node ${name} is locked`)
      expect((await own(world, world.joe, ['ssh', `${login}@${ids.db}`, 'true'])).code).toBe(15)
      await admin(['unlock', id])
    }
  })

  it('forgets a host that is removed, and registers it again', async () => {
    const {cluster, directory} = world.field
    const kept = await cluster.admin(['get', `node/${ids.db}`])
    expect((await cluster.admin(['rm', 'node/db-1'])).code).toBe(0)
    expect((await own(world, world.joe, ['ssh', `${login}@db-1`, 'true'])).code).toBe(24)
    const path = join(directory, 'again.yaml')
    writeFileSync(path, kept.stdout)
    expect((await cluster.admin(['create', '-f', path])).stdout).toContain(`node ${ids.db} created`)
    expect((await own(world, world.joe, ['ssh', `${login}@db-1`, 'true'])).code).toBe(0)
  })
})

describe('a registered host whose address is a name', () => {
  it('is found by its IP address: what is denied there is denied, and what is recorded has its labels', async () => {
    const field = await startField()
    const secret = await field.target()
    const denial = {
      ...{kind: 'role', version: 'v1', metadata: {name: 'no-secrets'}},
      spec: {deny: {node_labels: {env: 'secret'}}},
    }
    const resource = node(ids.db, 'vault', secret.port, {env: 'secret'}).replace('127.0.0.1', 'localhost')
    const path = join(field.directory, 'vault.yaml')
    writeFileSync(path, [resource, JSON.stringify(denial)].join('\n---\n'))
    expect(await field.cluster.admin(['create', '-f', path])).toMatchObject({code: 0})
    await field.cluster.admin(['users', 'add', 'eve', login, '--roles=access,no-secrets'])
    const holder = async (user: string, roles: string[]): Promise<UserKey> => {
      const key = await field.userKey({user, principals: [login], extensions: certified(roles)})
      await addToAgent(field.agent, key)
      return key
    }
    const [eve, joe] = [await holder('eve', ['access', 'no-secrets']), await holder('joe', ['access'])]
    const reachIt = (key: UserKey) => shellOf(field, key, secret).ssh(['echo in'])
    const refused = await reachIt(eve)
    expect(refused).toMatchObject({code: 255, stdout: ''})
    expect(refused.stderr).toContain('there is no host 127.0.0.1 among those that you may reach')
    const {result, events} = await field.during(() => reachIt(joe))
    expect(result).toMatchObject({code: 0, stdout: 'in\n'})
    expect(ended(events)).toMatchObject({
      ...{server_id: ids.db, server_hostname: 'vault', server_labels: {env: 'secret'}},
    })
  })
})

describe('where the proxy does not look inside', () => {
  let world: World
  beforeAll(async () => {
    world = await startWorld({
      auth_service: {session_recording: 'off', routing_strategy: 'most_recent'},
    })
  })

  it('labels decide as well, and the events name the host', async () => {
    const {db, web, joe, field} = world
    const {result, events} = await field.during(() =>
      reach(world, joe, ['-p', String(db.port), `${login}@db-1`, 'echo in']),
    )
    expect(result).toMatchObject({code: 0, stdout: 'in\n'})
    expect(events.find(({event}) => event === 'session.connect')).toMatchObject({
      ...{server_id: ids.db, server_hostname: 'db-1', server_addr: `127.0.0.1:${db.port}`},
      server_labels: {env: 'prod', team: 'db'},
    })
    const refused = await field.during(() =>
      reach(world, joe, ['-p', String(web.port), `${login}@web-1`, 'echo in']),
    )
    expect(refused.result.stderr).toContain('there is no host web-1 among those that you may reach')
    expect(refused.events[0]).toMatchObject({event: 'session.connect', success: false})
    expect(refused.events[0]?.error).toContain('no role of joe allows the host web-1')
  })

  it('leads to a host by its UUID, which its own certificate has to carry', async () => {
    expect(await own(world, world.joe, ['ssh', `${login}@${ids.db}`, 'echo in'])).toMatchObject({
      code: 0,
      stdout: 'in\n',
    })
  })

  it('takes the host that was registered last, with routing_strategy: most_recent', async () => {
    const {joe, field} = world
    const {admin} = field.cluster
    for (const id of [ids.twinA, ids.twinB, ids.twinA]) {
      const path = join(field.directory, 'again.yaml')
      writeFileSync(path, (await admin(['get', `node/${id}`])).stdout)
      for (const words of [
        ['rm', `node/${id}`],
        ['create', '-f', path],
      ])
        expect((await admin(words)).code).toBe(0)
      const {result, events} = await field.during(() => own(world, joe, ['ssh', `${login}@twin`, 'echo in']))
      expect(result).toMatchObject({code: 0, stdout: 'in\n'})
      expect(events.find(({event}) => event === 'session.connect')?.server_id).toBe(id)
    }
  })

  it('reaches what is not registered as before, where a role allows every host', async () => {
    const plain = await world.field.target()
    const port = String(plain.port)
    const {result, events} = await world.field.during(() =>
      own(world, world.ann, ['ssh', '-p', port, `${login}@127.0.0.1`, 'echo in']),
    )
    expect(result).toMatchObject({code: 0, stdout: 'in\n'})
    expect(events.find(({event}) => event === 'session.connect')).not.toHaveProperty('server_id')
    expect((await own(world, world.joe, ['ssh', '-p', port, `${login}@127.0.0.1`, 'true'])).code).toBe(24)
  })
})

describe('nodes of our own', () => {
  let field: Field
  let joe: UserKey
  beforeAll(async () => {
    const labels = {env: 'prod'}
    field = await startField({ssh_service: {labels}}, {roles: 'auth,proxy,node'})
    const path = join(field.directory, 'role.yaml')
    writeFileSync(path, [role('prod', {env: 'prod'}), role('test', {env: 'test'})].join('\n---\n'))
    await field.cluster.admin(['create', '-f', path])
    joe = await field.userKey({extensions: certified(['prod'])})
    await addToAgent(field.agent, joe)
  })

  it.each(['proxy-1', 'its UUID'])(
    'are in the inventory with their labels, and reached by %s',
    async name => {
      const {admin} = field.cluster
      await admin(['users', 'update', 'joe', '--roles=prod'])
      const [node] = JSON.parse((await admin(['nodes', 'ls', '--format=json'])).stdout) as {id: string}[]
      expect(node).toMatchObject({kind: 'node', hostname: 'proxy-1', labels: {env: 'prod'}, status: 'online'})
      const host = name === 'its UUID' ? node?.id : name
      const reach = () =>
        sshText([...field.throughJump(joe), `${login}@${host}`, 'echo in'], {env: field.agent.env})
      const {result, events} = await field.during(reach)
      expect(result).toMatchObject({code: 0, stdout: 'in\n'})
      expect(events.find(({event}) => event === 'session.end')).toMatchObject({
        ...{server_id: node?.id, server_hostname: 'proxy-1', server_labels: {env: 'prod'}},
      })
      await admin(['users', 'update', 'joe', '--roles=test'])
      expect((await reach()).code).toBe(255)
    },
  )

  it('decide for themselves as the proxy does, and as the explanation says', async () => {
    const {admin} = field.cluster
    const straight = () =>
      field.during(() => sshText([...field.straight(joe), `${login}@127.0.0.1`, 'echo in']))
    const explained = async (): Promise<string> =>
      (await admin(['access', 'explain', 'joe@proxy-1', `--login=${login}`])).stdout
    await admin(['users', 'update', 'joe', '--roles=prod'])
    expect((await straight()).result).toMatchObject({code: 0, stdout: 'in\n'})
    await admin(['users', 'update', 'joe', '--roles=test'])
    const {result, events} = await straight()
    expect(result).toMatchObject({code: 255, stdout: ''})
    const reason = 'no role of joe allows'
    expect(result.stderr).toContain(reason)
    expect(events.find(({success}) => !success)?.error).toContain(reason)
    expect(await explained()).toContain(reason)
  })
})
