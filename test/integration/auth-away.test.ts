import {readdirSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {describe, expect, it} from 'vitest'
import {joiningWords, startAuth, startTarget, trail} from '../support/apart.js'
import {sallyport, startSallyport, type TextResult} from '../support/cluster.js'
import {eventually} from '../support/eventually.js'
import {type Event, login} from '../support/field.js'
import {type Machine, startMachine} from '../support/machines.js'
import {temporaryDirectory} from '../support/temporary-directory.js'

/** Auth on one machine, the proxy on another, a real sshd: the auth service, or both, are killed while a session runs. */
interface Place {
  directory: string
  auth: Machine
  proxy: Machine
  /** Where the cluster records at nodes. */
  node?: Machine
  startAuth(): Promise<void>
  startProxy(): Promise<void>
  events(sid: string): Event[]
  outboxFiles(): string[]
  counting(): Promise<Counting>
  /** Runs a command on the host. */
  ssh(command: string): Promise<TextResult>
}

interface Counting {
  sid: string
  said: {stdout: string; stderr: string}
  /** When the byte at `offset` had come, Unix ms. */
  at(offset: number): number
  /** Lets it end by itself. */
  finish(): void
  ended: Promise<number | null>
}

async function place(recording: 'proxy' | 'proxy-sync' | 'node' | 'node-sync' = 'proxy'): Promise<Place> {
  const directory = temporaryDirectory()
  const passwordFile = join(directory, 'password')
  writeFileSync(passwordFile, 'correct horse battery\n')
  const auth = await startAuth(directory, recording)
  const authPort = auth.addresses.auth?.port ?? 0
  const startProxy = (args: readonly string[], ports: {ssh: number; web: number}): Promise<Machine> =>
    startMachine({
      ...{directory: join(directory, 'proxy'), roles: 'proxy', args},
      config: {
        teleport: {nodename: 'proxy-1', auth_servers: [`127.0.0.1:${authPort}`]},
        auth_service: {enabled: 'no'},
        proxy_service: {
          ...{enabled: 'yes', listen_addr: `127.0.0.1:${ports.ssh}`},
          web_listen_addr: `127.0.0.1:${ports.web}`,
          tunnel_listen_addr: '127.0.0.1:0',
        },
      },
    })
  const proxy = await startProxy(await joiningWords(auth, 'proxy'), {ssh: 0, web: 0})
  const ports = {ssh: proxy.addresses.ssh?.port ?? 0, web: proxy.addresses.web?.port ?? 0}

  const added = await auth.admin(['users', 'add', 'joe', `joe,${login}`])
  const url = /https:\/\/\S+\/web\/invite\/\S+/.exec(added.stdout)?.[0] ?? ''
  const env = {SALLYPORT_HOME: join(directory, 'home')}
  const must = async (words: string[]): Promise<void> => {
    const {code, stderr} = await sallyport(words, {env})
    if (code !== 0) throw new Error(stderr)
  }
  await must(['signup', url, '--insecure', `--password-file=${passwordFile}`])
  await must([
    ...['login', `--proxy=127.0.0.1:${ports.web}`, '--user=joe', '--insecure'],
    ...[`--password-file=${passwordFile}`, '--key-store=file', '--no-use-local-ssh-agent'],
  ])
  const startNode = (args: readonly string[]): Promise<Machine> =>
    startMachine({
      ...{directory: join(directory, 'node'), roles: 'node', args},
      config: {
        teleport: {nodename: 'far1', auth_servers: [`127.0.0.1:${authPort}`], advertise_ip: '127.0.0.1'},
        ...{auth_service: {enabled: 'no'}, proxy_service: {enabled: 'no'}},
        ssh_service: {enabled: 'yes', listen_addr: '127.0.0.1:0'},
      },
    })
  const node = recording.startsWith('node') ? await startNode(await joiningWords(auth, 'node')) : undefined
  const host = node
    ? [`${login}@far1`]
    : ['-p', String((await startTarget(directory, auth)).port), `${login}@127.0.0.1`]

  const events = (sid: string): Event[] =>
    trail(join(auth.dataDir, 'audit')).filter(event => event.sid === sid)
  const here: Place = {
    ...{directory, auth, proxy, events, ...(node && {node})},
    ssh: command => sallyport(['ssh', ...host, command], {env}),
    async startAuth() {
      here.auth = await startAuth(directory, recording, authPort)
    },
    async startProxy() {
      here.proxy = await startProxy([], ports)
    },
    outboxFiles: () => readdirSync(join(directory, 'proxy', 'data', 'outbox', 'proxy')).sort(),
    async counting() {
      const before = trail(join(auth.dataDir, 'audit')).length
      const until = join(directory, `enough-${before}`)
      const command = `i=0; while [ ! -e ${until} ]; do i=$((i+1)); echo "line $i"; sleep 0.02; done; echo done`
      const child = startSallyport(['ssh', ...host, command], {env})
      const said = {stdout: '', stderr: ''}
      const arrivals: {end: number; time: number}[] = []
      child.stdout.setEncoding('latin1').on('data', (text: string) => {
        said.stdout += text
        arrivals.push({end: said.stdout.length, time: Date.now()})
      })
      child.stderr.on('data', text => {
        said.stderr += text
      })
      const ended = new Promise<number | null>(resolve => child.once('close', resolve))
      const begun = await eventually(
        () =>
          trail(join(auth.dataDir, 'audit'))
            .slice(before)
            .find(({event}) => event === 'session.start'),
        'the session starts',
      )
      await eventually(() => said.stdout.includes('line 3\n'), `it prints: ${said.stderr}`)
      const at = (offset: number): number => arrivals.find(({end}) => end > offset)?.time ?? Infinity
      const finish = (): void => writeFileSync(until, '')
      return {sid: String(begun.sid), said, at, finish, ended}
    },
  }
  return here
}

const whole = ['session.start', 'session.upload', 'exec', 'session.data', 'session.end']
const names = (events: Event[]): string[] => events.map(({event}) => event)
const more = async ({said}: Counting): Promise<void> => {
  const length = said.stdout.length
  await eventually(() => said.stdout.length > length + 400, 'the output goes on')
}

describe('the auth service is killed while a session runs', () => {
  it('the session goes on, and when auth is back it is on record, whole and once', async () => {
    const here = await place()
    const session = await here.counting()
    await here.auth.stop('SIGKILL')
    await more(session)
    session.finish()
    expect(await session.ended).toBe(0)
    expect(session.said.stderr).toBe('')
    await eventually(
      () => here.proxy.log().includes('events and recordings are kept until it can'),
      'it is logged',
    )
    expect(here.outboxFiles()).toContain(`${session.sid}.00000001.spool`)
    expect(names(here.events(session.sid))).toEqual(['session.start'])

    await here.startAuth()
    await eventually(() => names(here.events(session.sid)).includes('session.end'), 'it is delivered')
    expect(names(here.events(session.sid))).toEqual(whole)
    for (const event of here.events(session.sid)) expect(event.reported_by).toMatch(/^[0-9a-f-]{36}$/)
    const played = await here.auth.admin(['play', session.sid, '--format=raw'])
    expect(played.stdout).toBe(session.said.stdout)
    expect(await here.auth.admin(['recordings', 'verify', session.sid])).toMatchObject({code: 0})
    expect(await here.auth.admin(['audit', 'verify'])).toMatchObject({code: 0})
    await eventually(() => here.proxy.log().includes('all that was kept is delivered'), 'it is logged')
    await eventually(() => here.outboxFiles().length === 0, 'nothing is left')

    const next = await here.counting()
    next.finish()
    await next.ended
    await eventually(() => names(here.events(next.sid)).includes('session.end'), 'the next one is on record')
    expect(names(here.events(next.sid))).toEqual(whole)
  })

  it('a restart of auth alone ends no session of the proxy', async () => {
    const here = await place()
    const session = await here.counting()
    await here.auth.stop('SIGTERM')
    await here.startAuth()
    await more(session)
    await eventually(() => here.events(session.sid).length > 0, 'it is there')
    expect(names(here.events(session.sid))).toEqual(['session.start'])
    session.finish()
    expect(await session.ended).toBe(0)
    await eventually(() => names(here.events(session.sid)).includes('session.end'), 'it is delivered')
    expect(names(here.events(session.sid))).toEqual(whole)
    expect((await here.auth.admin(['play', session.sid, '--format=raw'])).stdout).toBe(session.said.stdout)
  })

  it('and the proxy is killed as well: at most a second is lost, and the session gets its one end', async () => {
    const here = await place()
    const session = await here.counting()
    await here.auth.stop('SIGKILL')
    await more(session)
    const killed = Date.now()
    await here.proxy.stop('SIGKILL')
    await session.ended
    await here.startAuth()
    await here.startProxy()
    await eventually(() => names(here.events(session.sid)).includes('session.end'), 'it is delivered')
    expect(names(here.events(session.sid))).toEqual(['session.start', 'session.upload', 'session.end'])
    expect(here.events(session.sid).at(-1)).toMatchObject({
      ...{user: 'joe', login, truncated: true, recorded: true, participants: ['joe']},
      reason: 'the service ended before the session did',
    })
    const played = await here.auth.admin(['play', session.sid, '--format=raw'])
    const {stdout} = session.said
    expect(stdout.startsWith(played.stdout) || played.stdout.startsWith(stdout)).toBe(true)
    if (stdout.length > played.stdout.length)
      expect(killed - session.at(played.stdout.length)).toBeLessThanOrEqual(1000)
    expect(await here.auth.admin(['recordings', 'verify', session.sid])).toMatchObject({code: 0})
    await here.proxy.stop()
    await here.startProxy()
    expect(here.events(session.sid).filter(({event}) => event === 'session.end')).toHaveLength(1)
  })

  it('and the proxy is stopped in order: what it kept is delivered after its next start', async () => {
    const here = await place()
    const session = await here.counting()
    await here.auth.stop('SIGKILL')
    await more(session)
    const stopping = here.proxy.stop('SIGTERM')
    expect(await session.ended).toBe(255)
    expect(session.said.stderr).toContain('the proxy is shutting down')
    expect(await stopping).toBe(0)
    expect(here.proxy.log()).toContain('waits for the next start')
    await here.startAuth()
    await here.startProxy()
    await eventually(() => names(here.events(session.sid)).includes('session.end'), 'it is delivered')
    expect(names(here.events(session.sid)).filter(name => name !== 'client.disconnect')).toEqual(whole)
    expect((await here.auth.admin(['play', session.sid, '--format=raw'])).stdout).toBe(session.said.stdout)
  })

  it('and what a node records is kept by the node', async () => {
    const here = await place('node')
    const session = await here.counting()
    await here.auth.stop('SIGKILL')
    await more(session)
    session.finish()
    expect(await session.ended).toBe(0)
    await eventually(() => here.node?.log().includes('are kept until it can'), 'it is logged')
    await here.startAuth()
    await eventually(() => names(here.events(session.sid)).includes('session.end'), 'it is delivered')
    expect(names(here.events(session.sid))).toEqual(whole)
    const [start] = here.events(session.sid)
    const id = readFileSync(join(here.directory, 'node', 'data', 'host_uuid'), 'utf8').trim()
    expect(start).toMatchObject({reported_by: id, server_id: id})
    expect((await here.auth.admin(['play', session.sid, '--format=raw'])).stdout).toBe(session.said.stdout)
  })

  it.each(['proxy-sync', 'node-sync'] as const)(
    'in %s the session ends with the reason, and no other one begins',
    async mode => {
      const here = await place(mode)
      const session = await here.counting()
      const killed = Date.now()
      await here.auth.stop('SIGKILL')
      expect(await session.ended).toBe(255)
      // Well before a call that nobody answers is given up.
      expect(Date.now() - killed).toBeLessThan(45_000)
      expect(session.said.stderr).toContain('[recording_unavailable]')
      const refused = await here.ssh('echo in')
      expect(refused.code).not.toBe(0)
      expect(refused.stdout).toBe('')
      expect(refused.stderr).toContain('[unavailable]')
      await here.startAuth()
      await eventually(() => names(here.events(session.sid)).includes('session.end'), 'it is delivered')
      await eventually(() => names(here.events(session.sid)).includes('session.upload'), 'it is closed')
      const played = await here.auth.admin(['play', session.sid, '--format=raw'])
      expect(
        session.said.stdout.startsWith(played.stdout) || played.stdout.startsWith(session.said.stdout),
      ).toBe(true)
      expect(names(here.events(session.sid)).filter(name => name === 'session.end')).toHaveLength(1)
    },
  )
})
