import {once} from 'node:events'
import {type AddressInfo, connect, createServer, type Socket} from 'node:net'
import {describe, expect, it} from 'vitest'
import {readHostKey} from '../../src/lib/ssh/index.js'
import {atEnd} from '../support/cleanup.js'
import {login, sshText, startField} from '../support/field.js'
import {run} from '../support/process.js'
import {startSshd} from '../support/sshd.js'
import {temporaryDirectory} from '../support/temporary-directory.js'

const methods = (await run('ssh', ['-Q', 'kex'])).stdout.toString().trim().split('\n')

/** Passes connections on, and reads along. */
async function between(port: number, step: number): Promise<{port: number; seen: string[]}> {
  const seen: string[] = []
  const open = new Set<Socket>()
  const server = createServer(client => {
    const target = connect(port, '127.0.0.1')
    for (const one of [client, target]) open.add(one.on('error', () => undefined))
    const reader = readHostKey(blob => seen.push(blob.toString('base64')))
    let accepted = false
    target.on('data', (chunk: Buffer) => {
      for (let at = 0; at < chunk.length && !accepted; at += step)
        accepted = reader.read(chunk.subarray(at, at + step))
    })
    target.pipe(client)
    client.pipe(target)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  atEnd(() => {
    for (const one of open) one.destroy()
    return new Promise<void>(resolve => server.close(() => resolve()))
  })
  return {port: (server.address() as AddressInfo).port, seen}
}

describe('the host key of a connection between others', () => {
  it.each(methods)('is seen with %s', async method => {
    const sshd = await startSshd({directory: temporaryDirectory(), extraConfig: `KexAlgorithms ${method}`})
    const relay = await between(sshd.port, method.length % 2 ? 1 : 4096)
    const options = [
      `KexAlgorithms=${method}`,
      'BatchMode=yes',
      'StrictHostKeyChecking=no',
      'UserKnownHostsFile=/dev/null',
    ]
    const words = [
      '-F',
      'none',
      ...options.flatMap(option => ['-o', option]),
      '-p',
      `${relay.port}`,
      '127.0.0.1',
    ]
    expect((await sshText([...words, 'true'])).stderr).toContain('Permission denied')
    expect(relay.seen).toEqual([sshd.hostKey.toString('base64')])
    await sshd.stop()
  })
})

describe('a node that a proxy leads to without looking inside', () => {
  const freePort = async (): Promise<number> => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const {port} = server.address() as AddressInfo
    await new Promise(resolve => server.close(resolve))
    return port
  }
  const start = async (advertised: object) => {
    const port = await freePort()
    const field = await startField(
      {
        teleport: {nodename: 'claimer', ...advertised},
        auth_service: {session_recording: 'off'},
        ssh_service: {listen_addr: `127.0.0.1:${port}`},
      },
      {roles: 'auth,proxy,node'},
    )
    const joe = await field.userKey()
    const reach = (...words: string[]) =>
      sshText([...field.throughSubsystem(joe), '-p', `${port}`, ...words, `${login}@claimer`, 'echo in'])
    return {field, port, reach}
  }

  it('is reached with every key exchange that it offers', async () => {
    const {reach} = await start({})
    expect(await reach()).toMatchObject({code: 0, stdout: 'in\n'})
    const ran = []
    // One of each kind.
    for (const method of methods.filter(name =>
      /^curve25519-sha256$|nistp256|group16|exchange-sha256|761/.test(name),
    )) {
      const {code, stderr} = await reach('-o', `KexAlgorithms=${method}`)
      if (code === 0) ran.push(method)
      else expect(stderr).toMatch(/no matching key exchange method/i)
    }
    expect(ran.length).toBeGreaterThan(2)
  })

  it('leads nobody to an sshd of another machine, though that has the certificate for its name', async () => {
    const {field, port, reach} = await start({advertise_ip: '127.0.0.2'})
    const victim = await field.target(
      {listenAddress: '127.0.0.2', extraConfig: `Port ${port}`},
      {principals: ['claimer', '127.0.0.2']},
    )
    const {result, events} = await field.during(() => reach())
    expect(result.code).toBe(255)
    expect(result.stdout).toBe('')
    expect(result.stderr).toContain('what answers for claimer is not that node')
    expect(events.find(({event}) => event === 'client.disconnect')?.reason).toContain('is not that node')
    expect(victim.log()).not.toContain('Accepted')
  })
})
