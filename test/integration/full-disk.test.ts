import {writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {describe, expect, it} from 'vitest'
import {chance} from '../support/chance.js'
import {type Cluster, sallyport, startCluster} from '../support/cluster.js'
import {eventually} from '../support/eventually.js'
import {addToAgent, type Event, type Field, login, sshText, startField} from '../support/field.js'
import {start} from '../support/process.js'
import {type Received, receive} from '../support/received.js'
import {mountSmallDisk, noSmallDisk, type SmallDisk} from '../support/small-disk.js'

/** A real filesystem runs full under a real service while sessions run; then there is room again. */
const lack = noSmallDisk()
if (lack)
  console.warn(`full disks are not tried: ${lack}; test/unit/forward has them with a store that fails`)

interface Ready {
  field: Field
  cluster: Cluster
  disk: SmallDisk
  ssh(command: string): ReturnType<typeof sshText>
  /** A session that prints numbered lines until it is gone, or `until` is there. */
  counting(until?: string): Promise<Counting>
  named(event: string, sid?: string): Event[]
}

interface Counting {
  sid: string
  said: Received
}

async function ready(directory: 'recordings' | 'audit', mode: 'proxy' | 'proxy-sync'): Promise<Ready> {
  const field = await startField({auth_service: {session_recording: mode}})
  const target = await field.target()
  const joe = await field.userKey()
  await addToAgent(field.agent, joe)
  await field.cluster.stop()
  const disk = mountSmallDisk(join(field.cluster.dataDir, directory))
  const cluster = await startCluster({directory: field.directory, reuse: true})
  const way = [
    ...field.throughSubsystem(joe, {port: cluster.addresses.ssh.port}),
    ...['-p', String(target.port), `${login}@127.0.0.1`],
  ]
  const {env} = field.agent
  const named = (event: string, sid?: string): Event[] =>
    field.events().filter(record => record.event === event && (sid === undefined || record.sid === sid))
  return {
    ...{field, cluster, disk, named},
    ssh: command => sshText([...way, command], {env}),
    async counting(until = '/nowhere') {
      const child = start(
        'ssh',
        [
          ...way,
          `i=0; while [ ! -e ${until} ]; do i=$((i+1)); echo line $i; head -c 4096 /dev/urandom | base64; sleep 0.05; done`,
        ],
        {
          env,
        },
      )
      const said = receive(child)
      await eventually(() => said.text.includes('line 3\n'), 'it prints')
      return {sid: String(named('session.start').at(-1)?.sid), said}
    },
  }
}

interface Row {
  sid: string
  state: string
}
const states = async (cluster: Cluster): Promise<Record<string, string>> => {
  const {stdout} = await cluster.admin(['recordings', 'ls', '--format=json'])
  return Object.fromEntries((JSON.parse(stdout) as Row[]).map(({sid, state}) => [sid, state]))
}

/** Whether the recording has all that was shown. */
const prefixOf = async (cluster: Cluster, {sid, said}: Counting): Promise<boolean> => {
  const {bytes} = await cluster.admin(['play', sid, '--format=raw'])
  return bytes.toString('latin1').startsWith(said.text)
}

describe.skipIf(lack !== undefined)(
  'when the disk of the recordings is full',
  {meta: {lack: lack ?? ''}},
  () => {
    it('a strict session ends within a second, and has shown nothing that is in no recording', async () => {
      const {cluster, disk, ssh, counting, named} = await ready('recordings', 'proxy-sync')
      const began = Date.now()
      await ssh('true')
      /** For a whole session on this machine, as busy as it is. */
      const usual = Date.now() - began
      const session = await counting()
      disk.fill()
      const filled = Date.now()
      expect(await session.said.ended).toBe(255)
      expect(Date.now() - filled).toBeLessThan(1000 + usual)
      expect(session.said.stderr).toMatch(
        /^sallyport: the session cannot be recorded: .*no space left on device \[recording_unavailable\]\r\n/,
      )
      const refused = await ssh('echo not to be seen')
      expect(refused).toMatchObject({code: 255, stdout: ''})
      expect(refused.stderr).toContain('no space left on device [recording_unavailable]')

      disk.free()
      expect(await ssh('echo recorded again')).toMatchObject({
        code: 0,
        stdout: 'recorded again\n',
        stderr: '',
      })
      await eventually(() => named('session.upload', session.sid)[0], 'the recording is completed')
      const {[session.sid]: cut, ...others} = await states(cluster)
      expect(cut).toBe('truncated')
      expect(Object.values(others)).toContain('sealed')
      expect(named('session.end', session.sid)).toMatchObject([{recorded: false}])
      expect(named('session.upload', session.sid)).toMatchObject([{truncated: true}])
      const verified = await cluster.admin(['recordings', 'verify', session.sid])
      expect(verified.stdout).toContain(
        'It is not all of the session: the recording could no longer be written',
      )
      expect(await prefixOf(cluster, session)).toBe(true)

      const {between, about} = chance()
      for (let round = 0; round < 4; round++) {
        const enough = between(5, 300)
        const later = await counting()
        await later.said.lines(enough)
        disk.fill()
        expect(await later.said.ended).toBe(255)
        disk.free()
        await eventually(() => named('session.upload', later.sid)[0], 'the recording is completed')
        const where = `the disk was full after ${enough} lines, in round ${round} of ${about}`
        expect(await prefixOf(cluster, later), where).toBe(true)
      }
    })

    it('a session by best effort goes on: its user is told once, and the audit log knows', async () => {
      const {field, cluster, disk, ssh, counting, named} = await ready('recordings', 'proxy')
      const enough = join(field.directory, 'enough')
      const session = await counting(enough)
      disk.fill()
      await eventually(() => session.said.stderr.includes('\n'), 'the user is told')
      const lines = session.said.text.length
      await eventually(() => session.said.text.length > lines, 'it goes on')
      const unrecorded = await ssh('echo unrecorded; exit 3')
      expect(unrecorded).toMatchObject({code: 3, stdout: 'unrecorded\n'})
      expect(unrecorded.stderr).toContain('goes on unrecorded')

      disk.free()
      expect(await ssh('echo recorded again')).toMatchObject({
        code: 0,
        stdout: 'recorded again\n',
        stderr: '',
      })
      writeFileSync(enough, '')
      expect(await session.said.ended).toBe(0)
      expect(session.said.stderr).toMatch(
        /^sallyport: the session goes on unrecorded: .*no space left on device \[recording_unavailable\]\r\n$/,
      )
      expect(named('session.recording.failed', session.sid)).toMatchObject([
        {code: 'TSR00W', success: false, user: 'joe', error: expect.stringContaining('no space left')},
      ])
      expect(named('session.end', session.sid)).toMatchObject([{recorded: false, exit_code: 0}])
      await eventually(() => named('session.upload', session.sid)[0], 'the recording is completed')
      const {[session.sid]: cut, ...others} = await states(cluster)
      expect(cut).toBe('truncated')
      expect(Object.values(others)).toContain('sealed')
      expect(named('session.start')).toHaveLength(3)
      expect(named('session.end')).toHaveLength(3)
    })
  },
)

describe.skipIf(lack !== undefined)(
  'when the disk of the audit log is full',
  {meta: {lack: lack ?? ''}},
  () => {
    it('nobody gets in, running sessions get their end later, and no restart is needed', async () => {
      const {field, cluster, disk, ssh, counting, named} = await ready('audit', 'proxy')
      const {ann, env} = await signUp(field, cluster)
      expect(await ann()).toMatchObject({code: 0})
      const enough = join(field.directory, 'enough')
      const session = await counting(enough)

      disk.fill()
      const refused = await untilRefused(() => ssh('echo not to be seen'))
      expect(refused).toMatchObject({code: 255, stdout: ''})
      expect(refused.stderr).toContain('the audit log cannot be written: no space left on device')
      const failed = await untilRefused(ann)
      expect(failed.stderr).toContain('the server cannot store what has to be on record')
      expect(failed.code).toBe(36)
      writeFileSync(enough, '')
      expect(await session.said.ended).toBe(0)
      expect(named('session.end', session.sid)).toEqual([])

      disk.free()
      expect(await ssh('echo in again')).toMatchObject({code: 0, stdout: 'in again\n'})
      expect(await ann()).toMatchObject({code: 0})
      expect((await sallyport(['status'], {env})).stdout).toContain('ann')
      await eventually(() => named('session.end', session.sid)[0], 'the end is on record')
      await cluster.stop()
      for (const name of ['session.start', 'session.upload', 'exec', 'session.data', 'session.end'])
        expect([name, named(name, session.sid).length]).toEqual([name, 1])
      expect(await cluster.admin(['audit', 'verify'])).toMatchObject({code: 0})
    })
  },
)

/** The log may still have the rest of its last block. */
async function untilRefused<Result extends {code: number}>(attempt: () => Promise<Result>): Promise<Result> {
  for (let left = 10; ; left--) {
    const result = await attempt()
    if (result.code !== 0 || left === 0) return result
  }
}

/** Ann with a password, and a way for her to log in. */
async function signUp({directory}: Field, cluster: Cluster) {
  const password = join(directory, 'password')
  writeFileSync(password, 'correct horse battery staple\n', {mode: 0o600})
  const env = {SALLYPORT_HOME: join(directory, 'ann')}
  const invited = await cluster.admin(['users', 'add', 'ann', login])
  const url = /https:\/\/\S+\/web\/invite\/\S+/.exec(invited.stdout)?.[0] ?? ''
  await sallyport(['signup', url, '--insecure', `--password-file=${password}`])
  const proxy = `--proxy=127.0.0.1:${cluster.addresses.web.port}`
  const words = [
    'login',
    proxy,
    '--user=ann',
    `--password-file=${password}`,
    '--insecure',
    '--key-store=file',
  ]
  return {env, ann: () => sallyport(words, {env})}
}
