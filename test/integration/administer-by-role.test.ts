import {join} from 'node:path'
import {beforeAll, expect, it} from 'vitest'
import {type Cluster, sallyport, startCluster} from '../support/cluster.js'
import {temporaryDirectory} from '../support/temporary-directory.js'

// Administration from any machine, by users whose roles let them.

let cluster: Cluster
let directory: string

beforeAll(async () => {
  directory = temporaryDirectory()
  cluster = await startCluster({directory})
  for (const [name, role] of [
    ['eve', 'editor'],
    ['joe', 'access'],
  ] as const) {
    expect(await cluster.admin(['users', 'add', name, `--roles=${role}`])).toMatchObject({code: 0})
    const out = `--out=${join(directory, name)}`
    expect(await cluster.admin(['auth', 'sign', `--user=${name}`, out])).toMatchObject({code: 0})
  }
})

/** The command as this user, through the proxy. */
async function as(name: string, ...args: string[]) {
  const {ssh, web} = cluster.addresses
  const through = [
    `--proxy=127.0.0.1:${web.port},${ssh.port}`,
    `--identity=${join(directory, name)}`,
    '--insecure',
  ]
  return await sallyport([...args, ...through], {env: {SALLYPORT_HOME: join(directory, 'home')}})
}

it('an editor adds, changes, unlocks, resets and removes users', async () => {
  const added = await as('eve', 'users', 'add', 'ann', 'ann,root')
  expect(added).toMatchObject({code: 0, stderr: ''})
  expect(added.stdout).toMatch(/^https:\/\/\S+\/web\/invite\/\S+$/m)
  expect(await as('eve', 'users', 'update', 'ann', '--logins=ann')).toMatchObject({code: 0})
  expect((await as('eve', 'users', 'ls')).stdout).toMatch(/^ann +ann +access +invited$/m)
  expect(await as('eve', 'users', 'unlock', 'ann')).toMatchObject({code: 0})
  expect(await as('eve', 'users', 'reset', 'ann')).toMatchObject({code: 0})
  expect(await as('eve', 'users', 'rm', 'ann')).toMatchObject({code: 0})
  expect((await cluster.admin(['users', 'ls'])).stdout).not.toContain('ann')
})

it('an editor lists the authorities, and makes tokens for nodes', async () => {
  expect((await as('eve', 'auth', 'ls')).stdout).toMatch(/^user +SHA256:/m)
  const made = await as('eve', 'tokens', 'add', '--roles=node', '--format=json')
  const {id} = JSON.parse(made.stdout)
  expect((await as('eve', 'tokens', 'ls')).stdout).toContain(id)
  expect(await as('eve', 'tokens', 'rm', id)).toMatchObject({code: 0})
  expect((await as('eve', 'nodes', 'add', '--type=node')).stdout).toMatch(/^sallyport start --roles=node /)
  expect(await as('eve', 'tokens', 'add', '--type=proxy')).toMatchObject({code: 15})
})

it.each([
  [['users', 'add', 'mallory']],
  [['users', 'ls']],
  [['users', 'update', 'joe', '--logins=root']],
  [['users', 'reset', 'eve']],
  [['users', 'unlock', 'joe']],
  [['users', 'rm', 'eve']],
  [['auth', 'ls']],
  [['tokens', 'add', '--type=node']],
  [['tokens', 'ls']],
  [['tokens', 'rm', '5c0e77a1']],
  [['nodes', 'add']],
])('a user without such a role is refused: %j', async args => {
  const refused = await as('joe', ...args)
  expect([refused.code, refused.stdout]).toEqual([15, ''])
  expect(refused.stderr).toContain('[access_denied]')
})
