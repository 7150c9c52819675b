import {EventEmitter, once} from 'node:events'
import {chmodSync, existsSync, mkdirSync, statSync, writeFileSync} from 'node:fs'
import {connect, createServer} from 'node:net'
import {join} from 'node:path'
import {describe, expect, test} from 'vitest'
import {startAdminSocket} from '../../../src/lib/service/admin-socket.js'
import {prepareDataDir} from '../../../src/lib/service/data-dir.js'
import {startDiagnostics} from '../../../src/lib/service/diagnostics.js'
import {hostUuid} from '../../../src/lib/service/identity/host-uuid.js'
import {createResources} from '../../../src/lib/service/resources.js'
import {stopSignal} from '../../../src/lib/service/stop.js'
import {temporaryDirectory} from '../../support/temporary-directory.js'

const loopback = {host: '127.0.0.1', port: 0}

describe('the data directory', () => {
  test('is made private, and made private again', async () => {
    const dataDir = join(temporaryDirectory(), 'a', 'b')
    await prepareDataDir(dataDir)
    chmodSync(dataDir, 0o755)
    await prepareDataDir(dataDir)
    expect(statSync(dataDir).mode & 0o777).toBe(0o700)
  })

  test('is never one that others use, and theirs stays as it is', async () => {
    const shared = join(temporaryDirectory(), 'shared')
    mkdirSync(shared)
    chmodSync(shared, 0o1777)
    writeFileSync(join(shared, 'of-somebody'), '')
    await expect(prepareDataDir(shared)).rejects.toMatchObject({
      code: 'store_failed',
      message: `${shared} is open to other accounts and holds something already`,
    })
    expect(statSync(shared).mode & 0o7777).toBe(0o1777)
  })

  test('that cannot be made is refused with the reason and the flag', async () => {
    const file = join(temporaryDirectory(), 'file')
    writeFileSync(file, '')
    await expect(prepareDataDir(join(file, 'data'))).rejects.toMatchObject({
      code: 'store_failed',
      message: `the data directory ${join(file, 'data')} cannot be used: not a directory`,
    })
  })

  test('whose path is too long for a socket is refused before anything is made', async () => {
    const dataDir = join(temporaryDirectory(), 'x'.repeat(120))
    await expect(prepareDataDir(dataDir)).rejects.toThrow(/too long for a Unix socket/)
    expect(existsSync(dataDir)).toBe(false)
  })
})

describe('the UUID of the machine', () => {
  test('is made once, however many ask at a time, and kept', async () => {
    const dataDir = temporaryDirectory()
    const answers = await Promise.all(Array.from({length: 8}, () => hostUuid(dataDir)))
    expect(new Set([...answers, await hostUuid(dataDir)]).size).toBe(1)
    expect(answers[0]).toMatch(/^[0-9a-f-]{36}$/)
    expect(statSync(join(dataDir, 'host_uuid')).mode & 0o777).toBe(0o600)
  })

  test('that was spoilt is not replaced by another one', async () => {
    const dataDir = temporaryDirectory()
    writeFileSync(join(dataDir, 'host_uuid'), 'db1')
    await expect(hostUuid(dataDir)).rejects.toMatchObject({code: 'store_failed'})
  })

  test('is missed where it cannot be kept', async () => {
    await expect(hostUuid(join(temporaryDirectory(), 'none'))).rejects.toMatchObject({code: 'store_failed'})
  })
})

describe('the administration socket', () => {
  test('is open to its owner alone and serves what connects', async () => {
    const dataDir = temporaryDirectory()
    const socket = await startAdminSocket(dataDir, connection => connection.end('hello'))
    expect(statSync(socket.path).mode & 0o777).toBe(0o600)
    const [data] = await once(connect(socket.path), 'data')
    expect(String(data)).toBe('hello')
    await socket.close()
    expect(existsSync(socket.path)).toBe(false)
  })

  test('of a running service is not taken from it', async () => {
    const dataDir = temporaryDirectory()
    const socket = await startAdminSocket(dataDir, connection => connection.end('first'))
    await expect(startAdminSocket(dataDir, () => undefined)).rejects.toMatchObject({code: 'already_running'})
    const [data] = await once(connect(socket.path), 'data')
    expect(String(data)).toBe('first')
    await socket.close()
  })

  test('left by a crash does not stand in the way', async () => {
    const dataDir = temporaryDirectory()
    mkdirSync(dataDir, {recursive: true})
    writeFileSync(join(dataDir, 'admin.sock'), '')
    const socket = await startAdminSocket(dataDir, connection => connection.end('here'))
    const [data] = await once(connect(socket.path), 'data')
    expect(String(data)).toBe('here')
    await socket.close()
  })

  test('closes at once, whoever is still connected', async () => {
    const socket = await startAdminSocket(temporaryDirectory(), () => undefined)
    const silent = connect(socket.path)
    await once(silent, 'connect')
    const closed = once(silent, 'close')
    await socket.close()
    expect(await closed).toEqual([false])
    expect(existsSync(socket.path)).toBe(false)
  })
})

describe('diagnostics', () => {
  test('say whether the process lives and whether it takes new sessions', async () => {
    let ready = false
    const diagnostics = await startDiagnostics(loopback, {
      told: () => ({status: ready ? 'ok' : 'not ready', roles: []}),
    })
    const status = async (path: string) =>
      (await fetch(`http://127.0.0.1:${diagnostics.address.port}${path}`)).status
    expect([await status('/healthz'), await status('/readyz'), await status('/')]).toEqual([200, 503, 404])
    ready = true
    expect(await status('/readyz')).toBe(200)
    await diagnostics.close()
    await expect(status('/healthz')).rejects.toThrow()
  })

  test('on a port in use are an error that names the flag', async () => {
    const taken = createServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    const {port} = taken.address() as {port: number}
    await expect(
      startDiagnostics({host: '127.0.0.1', port}, {told: () => ({status: 'ok', roles: []})}),
    ).rejects.toMatchObject({
      code: 'config_invalid',
      message: `the diagnostics service cannot listen on 127.0.0.1:${port}: another program uses this port`,
      hint: 'set --diag-addr to a free address and port',
    })
    taken.close()
  })
})

describe('the end', () => {
  test('comes with the first signal, and at once with the second', async () => {
    const emitter = new EventEmitter()
    let time = 0
    let forced = 0
    const force = () => {
      forced += 1
    }
    const stopping = stopSignal(force, {emitter, now: () => time})
    emitter.emit('SIGTERM', 'SIGTERM')
    expect(await stopping).toBe('SIGTERM')
    time = 300
    emitter.emit('SIGTERM', 'SIGTERM')
    expect(forced, 'an echo of the first').toBe(0)
    time = 600
    emitter.emit('SIGINT', 'SIGINT')
    expect(forced).toBe(1)
  })

  test('closes in the opposite order, and goes on where one fails', async () => {
    const closed: string[] = []
    const resources = createResources()
    resources.add('store', () => closed.push('store'))
    resources.add('proxy', () => Promise.reject(new Error('stuck')))
    resources.add('web', () => closed.push('web'))
    const logged: unknown[] = []
    await resources.close({error: (...fields: unknown[]) => logged.push(fields[0])} as never)
    expect(closed).toEqual(['web', 'store'])
    expect(logged).toEqual([{resource: 'proxy', err: expect.objectContaining({message: 'stuck'})}])
  })
})
