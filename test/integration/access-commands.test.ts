import {chmodSync, existsSync, readFileSync, writeFileSync} from 'node:fs'
import {dirname, join} from 'node:path'
import {beforeAll, describe, expect, it} from 'vitest'
import {parse, parseAllDocuments} from 'yaml'
import {type Cluster, startCluster} from '../support/cluster.js'
import {temporaryDirectory} from '../support/temporary-directory.js'

/** Roles, users, locks and explanations, as an administrator meets them on the command line of a real service. */
let cluster: Cluster
let directory: string

beforeAll(async () => {
  directory = temporaryDirectory()
  cluster = await startCluster({directory})
})

const file = (name: string, text: string): string => {
  const path = join(directory, name)
  writeFileSync(path, text)
  return path
}
const developers = `kind: role
version: v1
metadata: {name: developers, description: Developers}
spec:
  allow:
    logins: [ubuntu, '{{internal.logins}}']
    node_labels: {'*': '*'}
  deny: {logins: [root]}
  options: {max_session_ttl: 8h, client_idle_timeout: 15m}
`
const people = `${developers}---
kind: user
version: v1
metadata: {name: joe}
spec: {logins: [joe, ubuntu, root], roles: [developers]}
`
const events = async (name: string): Promise<Record<string, unknown>[]> =>
  JSON.parse((await cluster.admin(['audit', 'ls', `--event=${name}`, '--format=json'])).stdout)

describe('resources', () => {
  it('are created from a file of several documents, all or none', async () => {
    const broken = file('broken.yaml', `${developers}---\n${developers.replace('developers', 'ops')}x: 1\n`)
    const refused = await cluster.admin(['create', '-f', broken])
    expect(refused.stderr).toBe(
      `sallyport: ${broken}:20:1: x: unknown key; see docs/guides/roles-and-locks.md [invalid_input]\n`,
    )
    expect(refused.code).toBe(35)
    expect((await cluster.admin(['get', 'roles'])).stdout).not.toContain('developers')
    const created = await cluster.admin(['create', '-f', file('people.yaml', people)])
    expect(created).toMatchObject({code: 0, stdout: 'role developers created\nuser joe created\n'})
    expect(created.stderr).toContain('sallyport users reset NAME')
    const again = await cluster.admin(['create', '-f', file('people.yaml', people)])
    expect(again.stderr).toContain('there is a role developers already; nothing was created')
    expect(again.code).toBe(33)
    expect(await events('role.created')).toMatchObject([{by: 'admin', name: 'developers', code: 'T9000I'}])
  })

  it('are shown as a table, and in YAML that can be given back', async () => {
    const table = await cluster.admin(['get', 'roles'])
    expect(table.stdout).toMatch(/^Name +Allows +Denies +Description\n/)
    expect(table.stdout).toMatch(/^developers +ubuntu, \{\{internal\.logins\}\} on \*=\* +root +Developers$/m)
    for (const what of ['roles', 'users']) {
      const yaml = await cluster.admin(['get', what, '--format=yaml'])
      const back = await cluster.admin(['create', '-f', '-', '--force'], {input: yaml.stdout})
      expect(back).toMatchObject({code: 0, stderr: ''})
      expect(
        new Set(
          back.stdout
            .trim()
            .split('\n')
            .map(line => line.split(' ')[2]),
        ),
      ).toEqual(new Set(['unchanged']))
      expect(JSON.parse((await cluster.admin(['get', what, '--format=json'])).stdout)).toEqual(
        parseAllDocuments(yaml.stdout).map(document => document.toJS()),
      )
    }
    const one = await cluster.admin(['get', 'role/developers'])
    expect(parse(one.stdout)).toEqual({
      ...parse(developers),
      spec: {...parse(developers).spec, deny: {logins: ['root']}},
    })
    expect((await cluster.admin(['get', 'users/JOE'])).stdout).toContain('name: joe')
    expect(await cluster.admin(['get', 'role/none'])).toMatchObject({code: 34})
    expect(await cluster.admin(['get', 'things'])).toMatchObject({code: 2})
  })

  it('that users have are removed only by force', async () => {
    const spare = file('spare.yaml', developers.replace('name: developers', 'name: spare'))
    await cluster.admin(['create', '-f', spare])
    expect(await cluster.admin(['rm', 'role/spare'])).toMatchObject({code: 0})
    const refused = await cluster.admin(['rm', 'role/developers'])
    expect(refused.stderr).toContain('the role developers is still held by joe')
    expect(await cluster.admin(['rm', 'role/access', '--force'])).toMatchObject({code: 35})
    expect(await cluster.admin(['rm', 'role'])).toMatchObject({code: 2})
  })
})

describe('edit', () => {
  /** An editor that runs this shell script on the file. */
  const editor = (script: string): Record<string, string> => {
    const path = file(`editor-${Math.random()}.sh`, `#!/bin/sh\n${script}\n`)
    chmodSync(path, 0o755)
    return {VISUAL: '', EDITOR: `${path} --wait`, TMPDIR: directory}
  }
  const edit = (script: string) => cluster.admin(['edit', 'role/developers'], {env: editor(script)})
  const shown = async () => (await cluster.admin(['get', 'role/developers'])).stdout

  it('changes a role', async () => {
    expect(await edit('sed -i s/8h/4h/ "$2"')).toMatchObject({
      code: 0,
      stdout: 'Role developers has been changed\n',
    })
    expect(await shown()).toContain('max_session_ttl: 4h')
    expect(await events('role.updated')).toMatchObject([{name: 'developers', code: 'T9002I'}])
  })

  it('leaves it alone when nothing was changed or the editor failed', async () => {
    expect((await edit('exit 0')).stdout).toBe('Role developers is as it was\n')
    const failed = await edit('exit 7')
    expect(failed.stderr).toContain('the editor ended with status 7')
    expect(failed.code).not.toBe(0)
  })

  it('shows what is wrong and keeps the text', async () => {
    const before = await shown()
    const wrong = await edit('sed -i "s/4h/40h/; s/logins:/login:/" "$2"')
    expect(wrong.code).toBe(35)
    const [path = ''] = /\/\S*role-developers\.yaml(?= \[)/.exec(wrong.stderr) ?? []
    expect(wrong.stderr).toContain(`${path}:8:5: spec.allow.login: unknown key (did you mean logins?)`)
    expect(wrong.stderr).toContain('spec.options.max_session_ttl: a certificate lives from 1m to 30h')
    expect(readFileSync(path, 'utf8')).toContain('40h')
    expect(await shown()).toBe(before)
    const other = await edit('sed -i s/developers/others/ "$2"')
    expect(other.stderr).toContain('this has to be the role developers')
  })

  it('gives way to whoever was faster, and keeps the text', async () => {
    const faster = file('faster.yaml', developers.replace('8h', '2h'))
    const program = join(import.meta.dirname, '../../bin/run.js')
    const late = await edit(
      `"${process.execPath}" "${program}" create --force -f "${faster}" --config="${cluster.configPath}" && sed -i s/4h/3h/ "$2"`,
    )
    expect(late.stderr).toContain('the role developers was changed by somebody else in the meantime')
    const [path = ''] = /\/\S*role-developers\.yaml(?= \[)/.exec(late.stderr) ?? []
    expect(existsSync(path)).toBe(true)
    expect(dirname(path)).toContain('sallyport-edit-')
    expect(await shown()).toContain('max_session_ttl: 2h')
  })

  it('does not open a preset', async () => {
    const preset = await cluster.admin(['edit', 'role/access'], {env: editor('exit 9')})
    expect(preset.stderr).toContain('belongs to every cluster')
  })
})

describe('access explain', () => {
  it('gives the decision with its reason, and what each role said', async () => {
    const root = await cluster.admin(['access', 'explain', 'joe@db1', '--login=root'])
    expect(root.stdout).toContain(
      'joe as root on db1: denied\n  because role developers denies root on db1\n',
    )
    expect(root.stdout).toMatch(/^developers +yes +yes +yes +-$/m)
    expect(root.code).toBe(15)
    const ubuntu = await cluster.admin(['access', 'explain', 'joe@db1', '--login=ubuntu', '--format=json'])
    expect(ubuntu.code).toBe(0)
    expect(JSON.parse(ubuntu.stdout)).toMatchObject({
      decision: {allowed: true, options: {idle_timeout_seconds: 900}},
      roles: [{role: 'developers', allows: {login: true, host: true}}],
    })
    expect(await cluster.admin(['access', 'explain', 'nobody@db1'])).toMatchObject({code: 34})
    expect(await cluster.admin(['access', 'explain', 'db1'])).toMatchObject({code: 2})
  })
})

describe('what is printed for programs', () => {
  /** Names in it that are not in snake_case, and times that are numbers. */
  const odd = (value: unknown, at = ''): string[] =>
    value === null || typeof value !== 'object'
      ? []
      : Object.entries(value).flatMap(([name, inner]) => {
          const path = `${at}.${name}`
          const wrong = !/^\d+$|^[a-z][a-z0-9]*(_[a-z0-9]+)*$/.test(name) || Number(inner) > 1e12
          // Labels have the names that people gave them.
          return [...(wrong ? [path] : []), ...(name === 'labels' ? [] : odd(inner, path))]
        })

  it.each([
    ['users', 'add', 'snake', '--ttl=2h'],
    ['users', 'reset', 'snake'],
    ['users', 'update', 'snake', '--logins=snake,root'],
    ['users', 'ls'],
    ['auth', 'ls'],
    ['tokens', 'add', '--type=node'],
    ['tokens', 'ls'],
    ['nodes', 'add'],
    ['nodes', 'ls'],
    ['lock', '--user=snake', '--ttl=1h'],
    ['locks', 'ls'],
    ['access', 'explain', 'joe@db1'],
    ['sessions', 'ls'],
    ['recordings', 'ls'],
    ['status'],
  ])('has names in snake_case and times in ISO 8601: %s %s', async (...args) => {
    const {stdout} = await cluster.admin([...args, '--format=json'])
    expect(odd(JSON.parse(stdout))).toEqual([])
  })

  it('is taken away again', async () => {
    const [lock] = JSON.parse((await cluster.admin(['locks', 'ls', '--format=json'])).stdout)
    expect(await cluster.admin(['unlock', lock.id])).toMatchObject({code: 0})
  })
})

describe('locks', () => {
  it('are made, listed, explained and taken away', async () => {
    const made = await cluster.admin(['lock', '--user=joe', '--message=laptop stolen', '--ttl=1h'])
    const id = /sallyport unlock (\S+)/.exec(made.stdout)?.[1] ?? ''
    expect(made.stdout).toMatch(/^The user joe is locked until \S+Z: /)
    const listed = await cluster.admin(['locks', 'ls'])
    expect(listed.stdout).toMatch(new RegExp(`^${id} +user joe +\\S+ \\S+ +admin +laptop stolen$`, 'm'))
    const explained = await cluster.admin(['access', 'explain', 'joe@db1', '--login=ubuntu'])
    expect(explained.stdout).toMatch(/because the user joe is locked until \S+: laptop stolen/)
    const got = await cluster.admin(['get', `lock/${id}`, '--format=json'])
    expect(JSON.parse(got.stdout)).toMatchObject({id, kind: 'user', name: 'joe', created_by: 'admin'})
    expect((await cluster.admin(['get', 'locks'])).stdout).toMatch(
      new RegExp(`^${id} +user joe +\\S+ \\S+$`, 'm'),
    )
    expect(await cluster.admin(['get', 'lock/none'])).toMatchObject({
      ...{code: 34, stderr: expect.stringContaining('see `sallyport get locks` [not_found]')},
    })
    expect(await cluster.admin(['get', 'remote_clusters', '--format=json'])).toMatchObject({stdout: '[]\n'})
    expect(await cluster.admin(['unlock', id])).toMatchObject({
      ...{code: 0, stdout: `Lock ${id} has been removed\n`},
    })
    expect((await cluster.admin(['locks', 'ls'])).stdout).toBe('Nothing is locked.\n')
    const other = JSON.parse((await cluster.admin(['lock', '--node=DB1', '--format=json'])).stdout)
    expect(other).toMatchObject({kind: 'node', name: 'db1', created_by: 'admin'})
    const gone = await cluster.admin(['rm', `lock/${other.id}`, '--format=json'])
    expect(JSON.parse(gone.stdout)).toEqual({kind: 'lock', name: other.id, outcome: 'removed'})
    const third = await cluster.admin(['lock', '--host=db1', '--ttl=1h', '--format=json'])
    expect(JSON.parse(third.stdout)).toMatchObject({kind: 'node', name: 'db1'})
    expect(await cluster.admin(['rm', `lock/${JSON.parse(third.stdout).id}`])).toMatchObject({code: 0})
    expect(await cluster.admin(['unlock', id])).toMatchObject({code: 34})
    expect((await events('lock.deleted')).length).toBe(4)
  })

  it('are for one thing at a time', async () => {
    expect(await cluster.admin(['lock'])).toMatchObject({code: 2})
    expect(await cluster.admin(['lock', '--user=joe', '--login=root'])).toMatchObject({code: 2})
    expect(await cluster.admin(['lock', '--login=*'])).toMatchObject({code: 35})
  })
})
