import {once} from 'node:events'
import {existsSync, readFileSync} from 'node:fs'
import {type AddressInfo, connect, createServer, type Socket} from 'node:net'
import {join} from 'node:path'
import {beforeAll, describe, expect, it} from 'vitest'
import {formatIdentity} from '../../src/lib/client/identity/identity-file.js'
import {atEnd} from '../support/cleanup.js'
import {sallyport, startCluster} from '../support/cluster.js'
import {eventually} from '../support/eventually.js'
import {
  addToAgent,
  descriptors,
  type Field,
  login,
  shellOf,
  sshText,
  type startField,
  startFieldWithTarget,
  type UserKey,
} from '../support/field.js'
import {writePrivateFile} from '../support/openssh.js'
import {run, start} from '../support/process.js'
import type {Sshd} from '../support/sshd.js'
import {watch} from '../support/watch.js'

interface Ready {
  field: Field
  target: Sshd
  joe: UserKey
  /** Options that lead to the target's login. */
  way: string[]
  env: Record<string, string>
}

async function ready(config: Parameters<typeof startField>[0] = {}): Promise<Ready> {
  const {field, target, key: joe} = await startFieldWithTarget(config)
  const {through, where, env} = shellOf(field, joe, target)
  return {field, target, joe, way: [...through, ...where], env}
}

describe('proxy_checks_host_keys: no', () => {
  it('lets a plain key pass', async () => {
    const {field, joe} = await ready({auth_service: {proxy_checks_host_keys: 'no'}})
    const plain = await field.target({hostCertificate: undefined as never})
    const {ssh} = shellOf(field, joe, plain)
    expect(await ssh(['echo in; exit 3'])).toMatchObject({code: 3, stdout: 'in\n'})
    expect(field.recordings()).toHaveLength(1)
  })
})

describe('session_recording: off', () => {
  let off: Ready
  beforeAll(async () => {
    off = await ready({auth_service: {session_recording: 'off'}})
  })

  it('relays what it cannot read: no agent, no recording, one event', async () => {
    const {field, joe, target, env} = off
    for (const way of [
      field.throughSubsystem(joe, {forwardAgent: false}),
      field.throughJump(joe, {forwardAgent: false}),
    ]) {
      const {result, events} = await field.during(() =>
        sshText([...way, '-p', String(target.port), `${login}@127.0.0.1`, 'echo relayed; exit 5'], {env}),
      )
      expect(result).toMatchObject({code: 5, stdout: 'relayed\n'})
      expect(events).toMatchObject([
        {event: 'session.connect', user: 'joe', server_hostname: '127.0.0.1', session_recording: 'off'},
      ])
    }
    expect(field.recordings()).toEqual([])
  })

  it('serves the product’s own client, which checks the host itself', async () => {
    const {field, joe, target} = off
    const hostAuthorities = field.minted.authorities.publicKeys('host')
    const identity = writePrivateFile(
      join(field.directory, 'identity'),
      formatIdentity({...joe, hostAuthorities, cluster: 'test.example'}),
    )
    const {ssh, web} = field.cluster.addresses
    const as = (port: number) =>
      sallyport(
        [
          ...['ssh', `--proxy=127.0.0.1:${web.port},${ssh.port}`, '-i', identity, '-p', String(port)],
          ...[`${login}@127.0.0.1`, 'echo relayed; exit 6'],
        ],
        {env: {NODE_EXTRA_CA_CERTS: join(field.cluster.dataDir, 'https.pem')}},
      )
    expect(await as(target.port)).toMatchObject({code: 6, stdout: 'relayed\n', stderr: ''})
    const plain = await field.target({hostCertificate: undefined as never})
    const refused = await as(plain.port)
    expect(refused.stderr).toMatch(/^sallyport: .*\[host_key_refused\]\n$/)
    expect(refused.code).toBe(21)
  })

  it('says why it cannot connect', async () => {
    const {field, joe, env} = off
    for (const way of [field.throughSubsystem(joe), field.throughJump(joe)]) {
      const {result, events} = await field.during(() =>
        sshText([...way, '-p', '9', `${login}@nowhere.invalid`], {env}),
      )
      expect(result.stderr).toContain('the name nowhere.invalid does not resolve')
      expect(events).toMatchObject([{event: 'session.connect', success: false}])
    }
  })

  it('outlives targets that reset the connection while it is put on record', async () => {
    const {field, joe, env, way} = off
    const server = createServer({pauseOnConnect: true}, (socket: Socket) => {
      socket.on('error', () => undefined)
      setImmediate(() => socket.resetAndDestroy())
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    atEnd(() => void server.close())
    const port = String((server.address() as AddressInfo).port)
    const before = descriptors(field.cluster.pid).length
    const victims = Array.from({length: 8}, () =>
      sshText([...field.throughSubsystem(joe), '-p', port, `${login}@127.0.0.1`, 'true'], {env}),
    )
    for (const {code} of await Promise.all(victims)) expect(code).toBe(255)
    expect(await sshText([...way, 'echo alive'], {env})).toMatchObject({stdout: 'alive\n'})
    await eventually(() => descriptors(field.cluster.pid).length <= before, 'the descriptors are closed')
  })
})

/** What came of a session that ended with its certificate, which lives long enough to get in with. */
async function untilExpiry(field: Field, target: Sshd) {
  for (let milliseconds = 4000; ; milliseconds *= 2) {
    const brief = await field.userKey({until: Date.now() + milliseconds})
    await addToAgent(field.agent, brief)
    const {through, where, env} = shellOf(field, brief, target)
    const client = watch(start('ssh', [...through, ...where, 'echo in; exec sleep 1000'], {env}))
    expect(await client.ended).toBe(255)
    if (client.said.stdout !== '' || milliseconds > 20_000) return client
  }
}

describe('connections that are passed on unseen', () => {
  it('end after the idle timeout, on record, and while somebody does something they do not', async () => {
    const {field, way, env} = await ready({
      auth_service: {session_recording: 'off', client_idle_timeout: '3s'},
    })
    const client = watch(start('ssh', [...way, 'echo in; exec sleep 1000'], {env}))
    expect(await client.ended).toBe(255)
    expect(client.said.stdout).toBe('in\n')
    expect(client.said.stderr).toMatch(/sallyport: nothing came or went for 3 s.*\[timeout\]/)
    expect(field.events().filter(({event}) => event === 'client.disconnect')).toMatchObject([
      {user: 'joe', server_hostname: '127.0.0.1', reason: expect.stringContaining('idle timeout')},
    ])
    const busy = await sshText([...way, 'for i in 1 2 3 4 5; do sleep 0.8; echo $i; done'], {env})
    expect(busy).toMatchObject({code: 0, stdout: '1\n2\n3\n4\n5\n'})
  })

  it('end with the certificate where the cluster says so', async () => {
    const {field, target} = await ready({
      auth_service: {session_recording: 'off', disconnect_expired_cert: 'yes'},
    })
    const client = await untilExpiry(field, target)
    expect(client.said.stdout).toBe('in\n')
    expect(client.said.stderr).toContain('your certificate has expired')
  })

  it('have on SIGTERM the time that recorded ones have, and are told why they end', async () => {
    const {field, way, env, joe, target} = await ready({auth_service: {session_recording: 'off'}})
    const jump = [...field.throughJump(joe, {forwardAgent: false}), '-p', String(target.port)]
    const short = watch(start('ssh', [...way, 'echo in; sleep 1; echo done; exit 4'], {env}))
    const long = watch(start('ssh', [...way, 'echo in; exec sleep 1000'], {env}))
    const jumped = watch(start('ssh', [...jump, `${login}@127.0.0.1`, 'echo in; exec sleep 1000'], {env}))
    await Promise.all([short.saying('in\n'), long.saying('in\n'), jumped.saying('in\n')])
    expect(await field.cluster.stop('SIGTERM')).toBe(0)
    expect(await short.ended).toBe(4)
    expect(short.said.stdout).toBe('in\ndone\n')
    expect(await long.ended).toBe(255)
    expect(long.said.stderr).toContain('sallyport: the proxy is shutting down; connect again in a moment')
    expect(await jumped.ended).toBe(255)
    expect(field.events().filter(({event}) => event === 'client.disconnect')).toHaveLength(2)
  })
})

describe('idle sessions and expired certificates', () => {
  it('end after the idle timeout, and say so', async () => {
    const {field, way, env} = await ready({auth_service: {client_idle_timeout: '3s'}})
    const client = watch(start('ssh', [...way, 'echo in; exec sleep 1000'], {env}))
    expect(await client.ended).toBe(255)
    expect(client.said.stderr).toMatch(/sallyport: nothing came or went for 3 s.*\[timeout\]/)
    const events = field.events()
    expect(events.find(({event}) => event === 'client.disconnect')).toMatchObject({
      code: 'T3006I',
      user: 'joe',
      reason: 'nothing came or went for 3 s, which is the idle timeout',
    })
    expect(events.filter(({event}) => event === 'session.end')).toHaveLength(1)
    expect(field.recordings()).toMatchObject([{sealed: true}])
    // Whoever does something is not idle.
    const busy = await sshText([...way, 'for i in 1 2 3 4 5; do sleep 0.8; echo $i; done'], {env})
    expect(busy).toMatchObject({code: 0, stdout: '1\n2\n3\n4\n5\n'})
  })

  it('end with the certificate where the cluster says so', async () => {
    const {field, target} = await ready({auth_service: {disconnect_expired_cert: 'yes'}})
    const client = await untilExpiry(field, target)
    expect(client.said.stdout).toBe('in\n')
    expect(client.said.stderr).toContain(
      'your certificate has expired, and with it this connection; log in again',
    )
    expect(field.recordings().map(({sealed}) => sealed)).toContain(true)
    expect(field.recordings().map(({sealed}) => sealed)).not.toContain(false)
  })
})

describe('the end of the proxy', () => {
  it('lets a short command finish on SIGTERM, seals the sessions that go on, and says why', async () => {
    const {field, way, env} = await ready()
    const short = watch(start('ssh', [...way, 'echo in; sleep 1; echo done; exit 4'], {env}))
    const long = watch(start('ssh', [...way, 'echo in; exec sleep 1000'], {env}))
    await Promise.all([short.saying('in\n'), long.saying('in\n')])
    expect(await field.cluster.stop('SIGTERM')).toBe(0)
    expect(await short.ended).toBe(4)
    expect(short.said.stdout).toBe('in\ndone\n')
    expect(await long.ended).toBe(255)
    expect(long.said.stderr).toContain('sallyport: the proxy is shutting down; connect again in a moment')
    expect(field.recordings().map(({sealed}) => sealed)).toEqual([true, true])
    const ends = field.events().filter(({event}) => event === 'session.end')
    expect(ends).toHaveLength(2)
    const execs = field.events().filter(({event}) => event === 'exec')
    expect(execs.map(({exitCode, exitError}) => exitCode ?? exitError)).toEqual([
      4,
      'the proxy is shutting down',
    ])
  })

  it('is not held up by a client that does not read', async () => {
    const {field, way, env} = await ready()
    const stalled = start('ssh', [...way, 'cat /dev/zero'], {env})
    await once(stalled.stdout, 'readable')
    expect(await field.cluster.stop('SIGTERM')).toBe(0)
    expect(field.recordings()).toMatchObject([{sealed: true}])
    stalled.kill('SIGKILL')
  })

  it('leaves a truncated recording that plays after kill -9', async () => {
    const {field, way, env} = await ready()
    const client = watch(start('ssh', [...way, 'echo precious; exec sleep 1000'], {env}))
    await client.saying('precious\n')
    const size = (): number => field.recordings().map(({path}) => readFileSync(path).length)[0] ?? 0
    const header = size()
    await eventually(() => size() > header, 'the output is on disk')
    await field.cluster.stop('SIGKILL')
    expect(await client.ended).toBe(255)
    const again = await startCluster({directory: field.directory, reuse: true})
    const listed = await again.admin(['recordings', 'ls', '--format=json'])
    const [row] = JSON.parse(listed.stdout) as {sid: string; state: string}[]
    expect(row?.state).toBe('truncated')
    const played = await again.admin(['play', row?.sid ?? '', '--format=text'])
    expect(played.stdout).toContain('precious')
  })
})

describe('crowds at the door', () => {
  it('keeps its grace for silent connections and lets others in meanwhile', async () => {
    const {field, way, env} = await ready()
    // Whatever a first session opens for good is there before the crowd comes.
    expect(await sshText([...way, 'echo in'], {env})).toMatchObject({stdout: 'in\n'})
    const before = descriptors(field.cluster.pid).length
    const {port} = field.cluster.addresses.ssh
    const from = {port, host: '127.0.0.1', localAddress: '127.0.0.2'}
    const crowd = Array.from({length: 1074}, () =>
      connect(from)
        .on('error', () => undefined)
        .resume(),
    )
    await Promise.all(crowd.map(socket => once(socket, 'connect')))
    expect(await sshText([...way, 'echo in'], {env})).toMatchObject({stdout: 'in\n'})
    // As many as one address may have.
    await eventually(() => crowd.filter(({destroyed}) => !destroyed).length === 1024, 'the oldest had to go')
    for (const socket of crowd) socket.destroy()
    await eventually(() => descriptors(field.cluster.pid).length <= before, 'their descriptors are closed')
  })

  it('goes on after the descriptors have run out', async () => {
    const {field, way, env} = await ready()
    const {port} = field.cluster.addresses.ssh
    const used = descriptors(field.cluster.pid).length
    const limited = await run('prlimit', [
      '--pid',
      String(field.cluster.pid),
      `--nofile=${used + 10}:${used + 10}`,
    ])
    expect(limited.stderr).toBe('')
    const crowd = Array.from({length: 40}, () => connect(port, '127.0.0.1').on('error', () => undefined))
    for (const socket of crowd) socket.resume()
    await eventually(() => crowd.filter(({destroyed}) => destroyed).length >= 20, 'most are turned away')
    for (const socket of crowd) socket.destroy()
    await run('prlimit', ['--pid', String(field.cluster.pid), '--nofile=1024:1024'])
    await eventually(() => descriptors(field.cluster.pid).length <= used, 'their descriptors are closed')
    expect(await sshText([...way, 'echo in'], {env})).toMatchObject({stdout: 'in\n'})
    expect(existsSync(field.cluster.addresses.auth.socket)).toBe(true)
  })
})
