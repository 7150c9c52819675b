import {once} from 'node:events'
import {existsSync, readFileSync, statSync, writeFileSync} from 'node:fs'
import {connect, createServer} from 'node:net'
import {join} from 'node:path'
import {describe, expect, test} from 'vitest'
import {type RunResult, run} from '../support/process.js'
import {leftBehind, sallyport, startService, trialConfig} from '../support/service.js'
import {temporaryDirectory} from '../support/temporary-directory.js'

const file = (content: string): string => {
  const path = join(temporaryDirectory(), 'sallyport.yaml')
  writeFileSync(path, content)
  return path
}

const failing = (config: string, ...args: string[]): Promise<RunResult> =>
  sallyport(['start', `--config=${file(config)}`, ...args])

const authorityOf = (dataDir: string) => sallyport(['auth', 'export', '--type=user', `--data-dir=${dataDir}`])

describe('sallyport start', () => {
  test('says on stdout where each service really listens, and nothing else there', async () => {
    const service = await startService()
    const {ssh, tunnel, web, auth} = service.addresses
    expect(service.lines).toEqual([
      `auth   cluster test, administration on ${auth.socket}`,
      `auth   other machines on 127.0.0.1:${auth.port}`,
      `proxy  SSH on 127.0.0.1:${ssh.port}`,
      `proxy  tunnels on 127.0.0.1:${tunnel.port}`,
      `web    https://127.0.0.1:${web.port} (127.0.0.1:${web.port})`,
    ])
    const socket = connect(ssh.port, ssh.host)
    expect(String((await once(socket, 'data'))[0])).toMatch(/^SSH-2\.0-/)
    socket.destroy()
    const ping = await run('curl', ['-sk', `${web.url}/webapi/ping`])
    expect(JSON.parse(String(ping.stdout))).toMatchObject({
      proxy: {ssh: {listen_addr: `127.0.0.1:${ssh.port}`}},
    })
    await service.stop()
  })

  test('keeps what it writes from everybody else', async () => {
    const {dataDir, addresses, stop} = await startService()
    const mode = (path: string) => statSync(path).mode & 0o777
    expect(mode(dataDir)).toBe(0o700)
    expect(
      [addresses.auth.socket, join(dataDir, 'addresses.json'), join(dataDir, 'state.db')].map(mode),
    ).toEqual([0o600, 0o600, 0o600])
    await stop()
  })

  test('logs JSON records on stderr, ready within a second of work', async () => {
    const service = await startService()
    const ready = service.log().find(record => record.msg === 'ready')
    expect(ready).toMatchObject({level: 'info', cluster: 'test', nodename: expect.any(String)})
    // The machine may be busy with other tests; alone it takes 0.6 s.
    expect(ready?.ready_ms).toBeLessThan(5000)
    await service.stop()
  })

  test.each(['SIGTERM', 'SIGINT'] as const)(
    'ends in order on %s and leaves nothing to stumble over',
    async signal => {
      const pidFile = join(temporaryDirectory(), 'pid')
      const service = await startService({args: [`--pid-file=${pidFile}`]})
      expect(readFileSync(pidFile, 'utf8')).toBe(`${service.addresses.pid}\n`)
      expect(await service.stop(signal)).toBe(0)
      expect(leftBehind(service.dataDir)).toEqual([])
      expect(existsSync(pidFile)).toBe(false)
      expect(service.log().map(record => record.msg)).toEqual(expect.arrayContaining(['stopping', 'stopped']))
    },
  )

  test('ends in time with clients that say nothing still connected', async () => {
    const service = await startService()
    const {ssh, web, auth} = service.addresses
    const sockets = [connect(ssh.port, ssh.host), connect(web.port, web.host), connect(auth.socket)]
    await Promise.all(sockets.map(socket => once(socket, 'connect')))
    for (const socket of sockets) socket.on('error', () => undefined)
    const begun = performance.now()
    expect(await service.stop()).toBe(0)
    // Before whoever logs in on none of them would have been cut off anyway, after 30 s.
    expect(performance.now() - begun).toBeLessThan(25_000)
    for (const socket of sockets) socket.destroy()
  })

  test('finds its authorities again after kill -9', async () => {
    const first = await startService()
    const before = await authorityOf(first.dataDir)
    expect(String(before.stdout)).toMatch(/^cert-authority ssh-\S+ \S+ clustername=test&type=user/)
    expect(await first.stop('SIGKILL')).toBe(137)
    expect(leftBehind(first.dataDir)).toEqual(['addresses.json', 'admin.sock', 'watch.sock'])
    const second = await startService({dataDir: first.dataDir})
    expect(await authorityOf(first.dataDir)).toEqual(before)
    await second.stop()
  })

  test('answers whoever watches it', async () => {
    const service = await startService({args: ['--diag-addr=127.0.0.1:0']})
    const {diagnostics} = service.addresses
    const ready = await fetch(`http://127.0.0.1:${diagnostics?.port}/readyz`)
    expect(ready.status).toBe(200)
    await ready.text()
    await service.stop()
  })
})

describe('what keeps it from starting is one line with its own exit status', () => {
  const oneLine = ({stdout, stderr}: RunResult): string => {
    expect(String(stdout)).toBe('')
    expect(stderr.match(/\n/g)).toHaveLength(1)
    return stderr
  }

  test('a service that already runs on the data directory, which goes on undisturbed', async () => {
    const service = await startService()
    const before = readFileSync(join(service.dataDir, 'addresses.json'), 'utf8')
    const second = await failing(trialConfig, `--data-dir=${service.dataDir}`)
    expect(second.code).toBe(32)
    expect(oneLine(second)).toMatch(/^sallyport: another .*; stop it.*--data-dir \[already_running\]\n$/)
    expect(readFileSync(join(service.dataDir, 'addresses.json'), 'utf8')).toBe(before)
    expect((await authorityOf(service.dataDir)).code).toBe(0)
    await service.stop()
  })

  test('of two that start at once, all but one', async () => {
    const dataDir = join(temporaryDirectory(), 'data')
    const attempts = await Promise.allSettled([startService({dataDir}), startService({dataDir})])
    const running = attempts.flatMap(attempt => (attempt.status === 'fulfilled' ? [attempt.value] : []))
    expect(running).toHaveLength(1)
    expect(attempts.find(attempt => attempt.status === 'rejected')?.reason.message).toContain(
      '[already_running]',
    )
    expect((await authorityOf(dataDir)).code).toBe(0)
    await running[0]?.stop()
  })

  test.each([
    ['the SSH proxy', 'proxy_service.listen_addr'],
    ['the web service', 'proxy_service.web_listen_addr'],
    ['the tunnel port', 'proxy_service.tunnel_listen_addr'],
    ['the auth service', 'auth_service.listen_addr'],
  ])('a port in use by somebody else (%s)', async (what, setting) => {
    const taken = createServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    const {port} = taken.address() as {port: number}
    const dataDir = join(temporaryDirectory(), 'data')
    const at = (name: string): string => `"127.0.0.1:${name === setting ? port : 0}"`
    const config = [
      `auth_service: {cluster_name: test, listen_addr: ${at('auth_service.listen_addr')}}`,
      `proxy_service: {listen_addr: ${at('proxy_service.listen_addr')}, web_listen_addr: ${at('proxy_service.web_listen_addr')}, tunnel_listen_addr: ${at('proxy_service.tunnel_listen_addr')}}`,
    ].join('\n')
    const result = await failing(config, `--data-dir=${dataDir}`)
    expect(result.code).toBe(30)
    expect(oneLine(result)).toBe(
      `sallyport: ${what} cannot listen on 127.0.0.1:${port}: another program uses this port; set ${setting} to a free address and port [config_invalid]\n`,
    )
    expect(leftBehind(dataDir)).toEqual([])
    taken.close()
    // Nothing is held any more: the next start gets through.
    await (await startService({dataDir})).stop()
  })

  test('a data directory that is none', async () => {
    const result = await failing(trialConfig, `--data-dir=${file('')}`)
    expect(result.code).toBe(36)
    expect(oneLine(result)).toMatch(/^sallyport: the data directory .* cannot be used: .*\[store_failed\]\n$/)
  })

  test('a mistake in the configuration', async () => {
    const result = await failing('auth_service:\n  session_recordng: proxy\n')
    expect(result.code).toBe(30)
    expect(oneLine(result)).toMatch(
      /sallyport\.yaml:2:3: auth_service\.session_recordng: unknown key \(did you mean session_recording\?\); see docs\/configuration\.md \[config_invalid\]\n$/,
    )
  })

  test.each([
    [['--roles=proxy'], 30, 'nobody said where the auth service is'],
    [['--roles=node'], 30, 'nobody said where the auth service is'],
    [['--roles=proxy', '--auth-server=127.0.0.1:1'], 30, 'this machine has not joined the cluster as proxy'],
    [
      ['--roles=proxy', '--auth-server=127.0.0.1:1', '--token=x'],
      28,
      'without a pin nobody can tell whether this is the auth service',
    ],
    [
      ['--roles=proxy', '--auth-server=127.0.0.1:1', '--token=x', `--ca-pin=sha256:${'0'.repeat(64)}`],
      44,
      'the auth service at 127.0.0.1:1 cannot be reached: nothing listens there',
    ],
    [['--ca-pin=sha256:1'], 2, '--ca-pin expects sha256:…, not "sha256:1"'],
    [['--roles=auth,gateway'], 2, 'there is no role "gateway"'],
    [['--listen-ip=everywhere'], 2, '--listen-ip expects an IP address, not "everywhere"'],
  ])('%j', async (args, code, message) => {
    const result = await failing(trialConfig, `--data-dir=${join(temporaryDirectory(), 'data')}`, ...args)
    expect(oneLine(result)).toContain(`sallyport: ${message}; `)
    expect(result.code).toBe(code)
  })
})
