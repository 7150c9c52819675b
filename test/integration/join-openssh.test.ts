import {mkdirSync} from 'node:fs'
import {join} from 'node:path'
import {beforeAll, describe, expect, it} from 'vitest'
import {sallyport} from '../support/cluster.js'
import {addToAgent, type Field, login, sshText, startField, type UserKey} from '../support/field.js'
import {type Sshd, startSshd} from '../support/sshd.js'

// A plain sshd that knows nothing of the cluster, enrolled by the built command, and reached through the proxy.

describe('a host enrolled by one command', () => {
  let field: Field
  let joe: UserKey
  let sshd: Sshd
  let config: string
  beforeAll(async () => {
    field = await startField()
    joe = await field.userKey()
    await addToAgent(field.agent, joe)
    const directory = join(field.directory, 'host')
    const included = join(directory, 'sshd_config.d')
    mkdirSync(included, {recursive: true})
    config = join(directory, 'sshd_config')
    sshd = await startSshd({directory, extraConfig: `Include ${included}/*.conf`})
  })

  const enrol = (...words: string[]) =>
    field.cluster.admin(['join', 'openssh', `--sshd-config=${config}`, '--nodename=web-1', ...words])
  const reach = (...words: string[]) =>
    sshText([...field.throughSubsystem(joe), '-p', String(sshd.port), `${login}@web-1`, ...words], {
      env: field.agent.env,
    })

  it('is not reached before', async () => {
    expect((await enrol('--dry-run')).stdout).toContain('TrustedUserCAKeys')
    expect((await reach('true')).code).toBe(255)
  })

  it('lets users in by the name it was given, and is in the inventory with its labels', async () => {
    const where = `--addr=127.0.0.1:${sshd.port}`
    const enrolled = await enrol(where, '--labels=env=prod', '--format=json')
    expect(enrolled).toMatchObject({code: 0, stderr: ''})
    const {id} = JSON.parse(enrolled.stdout) as {id: string}
    const {result, events} = await field.during(() => reach('echo in'))
    expect(result).toMatchObject({code: 0, stdout: 'in\n'})
    expect(events.find(({event}) => event === 'session.end')).toMatchObject({
      server_id: id,
      server_labels: {env: 'prod'},
    })
    const again = await enrol(where, '--labels=env=test')
    expect(again.stdout).toBe(
      `web-1 is enrolled as ${id}, at 127.0.0.1:${sshd.port}. Users reach it with: sallyport ssh LOGIN@web-1\n`,
    )
    expect((await reach('echo in')).stdout).toBe('in\n')
    expect((await field.cluster.admin(['ls', 'env=test', '--format=names'])).stdout).toBe('web-1\n')
  })

  it('comes with a token and a pin from anywhere, once', async () => {
    const directory = join(field.directory, 'far')
    const included = join(directory, 'sshd_config.d')
    mkdirSync(included, {recursive: true})
    const far = await startSshd({directory, extraConfig: `Include ${included}/*.conf`})
    const made = await field.cluster.admin(['tokens', 'add', '--type=openssh', '--format=json'])
    const {
      token,
      ca_pins: caPins,
      auth_server: authServer,
    } = JSON.parse(made.stdout) as {
      token: string
      ca_pins: string[]
      auth_server: string
    }
    const words = [
      ...['join', 'openssh', `--sshd-config=${join(directory, 'sshd_config')}`, '--nodename=web-2'],
      ...[`--ca-pin=${caPins[0]}`, `--auth-server=127.0.0.1:${authServer.replace(/^.*:/, '')}`],
    ]
    // The token is in the environment, where `ps` does not show it.
    const enrolled = await sallyport(words, {env: {SALLYPORT_TOKEN: token}})
    expect(enrolled).toMatchObject({code: 0, stderr: ''})
    expect(enrolled.stdout).toContain(`at 127.0.0.1:${far.port}.`)
    const way = [...field.throughSubsystem(joe), '-p', String(far.port), `${login}@web-2`, 'echo in']
    expect(await sshText(way, {env: field.agent.env})).toMatchObject({code: 0, stdout: 'in\n'})
    const again = await sallyport(words, {env: {SALLYPORT_TOKEN: token}})
    expect(again.stderr).toContain('[token_invalid]')
    expect(await sshText(way, {env: field.agent.env})).toMatchObject({code: 0})
  })

  it('is told what is missing', async () => {
    expect(await enrol()).toMatchObject({code: 2})
    expect((await enrol('--addr=nowhere:0')).stderr).toContain('--addr')
    const absent = await field.cluster.admin([
      'join',
      'openssh',
      '--sshd-config=/nowhere',
      '--addr=1.2.3.4:22',
    ])
    expect(absent.stderr).toContain('/nowhere does not exist; name it with --sshd-config [config_invalid]')
  })
})
