import {execFileSync} from 'node:child_process'
import {once} from 'node:events'
import {readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {connect} from 'node:tls'
import {beforeAll, describe, expect, it} from 'vitest'
import {parse, stringify} from 'yaml'
import {eventually} from '../support/eventually.js'
import {addToAgent, type Field, login, sshText, startField} from '../support/field.js'
import {start} from '../support/process.js'

let field: Field
let way: string[]

beforeAll(async () => {
  field = await startField()
  const target = await field.target()
  const joe = await field.userKey()
  await addToAgent(field.agent, joe)
  way = [...field.throughSubsystem(joe), '-p', String(target.port), `${login}@127.0.0.1`]
})

type Sections = Record<string, Record<string, unknown>>

/** Changes the configuration, and tells the service; resolves with what it logs next about that. */
async function reloaded(change: (config: Sections) => void): Promise<Record<string, unknown>> {
  const {configPath} = field.cluster
  const config = parse(readFileSync(configPath, 'utf8')) as Sections
  change(config)
  return await reloadedWith(stringify(config))
}

async function reloadedWith(text: string): Promise<Record<string, unknown>> {
  writeFileSync(field.cluster.configPath, text)
  const before = field.cluster.log().length
  process.kill(field.cluster.pid, 'SIGHUP')
  const line = await eventually(
    () =>
      field.cluster
        .log()
        .slice(before)
        .split('\n')
        .find(one => one.includes('configuration was') && one.endsWith('}')),
    'the service answers',
  )
  return JSON.parse(line)
}

const section = (config: Sections, name: string): Record<string, unknown> => {
  config[name] ??= {}
  return config[name]
}

const shownCertificate = async (): Promise<string> => {
  const {host, port} = field.cluster.addresses.web
  const socket = connect({host, port, rejectUnauthorized: false})
  await once(socket, 'secureConnect')
  const {fingerprint256} = socket.getPeerCertificate()
  socket.destroy()
  return fingerprint256
}

describe('SIGHUP', () => {
  it('takes over where connections may go, and leaves those that run alone', async () => {
    const running = start('ssh', [...way, 'echo in; read line; echo "got $line"'], {env: field.agent.env})
    let said = ''
    running.stdout.on('data', data => {
      said += data
    })
    await eventually(() => said.includes('in\n'), 'it runs')
    const answer = await reloaded(config => {
      section(config, 'proxy_service').dial = {deny: ['127.0.0.1/32']}
    })
    expect(answer).toMatchObject({level: 'info', applied: ['proxy.dial.deny']})
    const refused = await sshText([...way, 'true'], {env: field.agent.env})
    expect(refused).toMatchObject({code: 255})
    expect(refused.stderr).toContain('[dial_forbidden]')
    running.stdin.write('still here\n')
    await once(running, 'close')
    expect(said).toBe('in\ngot still here\n')
    await reloaded(config => {
      delete section(config, 'proxy_service').dial
    })
    expect(await sshText([...way, 'echo again'], {env: field.agent.env})).toMatchObject({stdout: 'again\n'})
  })

  it('with a configuration that cannot be used changes nothing, and says why', async () => {
    const text = readFileSync(field.cluster.configPath, 'utf8')
    for (const [bad, why] of [
      [text.replace('proxy_service:', 'proxy_sorvice:'), 'proxy_sorvice: unknown key'],
      ['{', 'sallyport.yaml:'],
      [
        `${text}\n`.replace('proxy_service:\n', 'proxy_service:\n  dial: {deny: ["10.0.0.0/99"]}\n'),
        'proxy_service.dial.deny has a block',
      ],
    ] as const) {
      const answer = await reloadedWith(bad)
      expect(answer).toMatchObject({level: 'error', error: expect.stringContaining(why)})
      expect(await sshText([...way, 'echo fine'], {env: field.agent.env})).toMatchObject({stdout: 'fine\n'})
    }
    writeFileSync(field.cluster.configPath, text)
  })

  it('names what has to wait for the next start', async () => {
    const answer = await reloaded(config => {
      section(config, 'auth_service').client_idle_timeout = '1h'
    })
    expect(answer).toMatchObject({applied: []})
    await eventually(
      () => field.cluster.log().includes('"settings":["auth.clientIdleTimeoutMs"]'),
      'it is named',
    )
  })

  it('brings a new HTTPS certificate into use, and refuses one that does not fit its key', async () => {
    const before = await shownCertificate()
    const [key, cert] = [join(field.directory, 'key.pem'), join(field.directory, 'cert.pem')]
    const make = (keyFile: string): void =>
      void execFileSync(
        'openssl',
        [
          ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'],
          ...['-subj', '/CN=localhost', '-keyout', keyFile, '-out', cert],
        ],
        {stdio: 'ignore'},
      )
    make(key)
    execFileSync('chmod', ['600', key])
    await reloaded(config => {
      Object.assign(section(config, 'proxy_service'), {https_key_file: key, https_cert_file: cert})
    })
    const now = await shownCertificate()
    expect(now).not.toBe(before)
    make(join(field.directory, 'other.pem'))
    expect(await reloaded(() => undefined)).toMatchObject({level: 'error'})
    expect(await shownCertificate()).toBe(now)
  })
})
