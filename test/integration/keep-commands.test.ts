import {randomUUID, sign} from 'node:crypto'
import {cpSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {fileURLToPath} from 'node:url'
import {beforeAll, describe, expect, it} from 'vitest'
import {makeCheckpoint, openAuditLog} from '../../src/lib/audit/index.js'
import {type Cluster, sallyport, startCluster} from '../support/cluster.js'
import {type Copy, type Evidence, flip, makeEvidence} from '../support/evidence.js'
import {addToAgent, type Field, login, sshText, startField, type UserKey} from '../support/field.js'
import {start} from '../support/process.js'
import type {Sshd} from '../support/sshd.js'

const killedAt = new URL('../support/killed-at.mjs', import.meta.url).href
const program = fileURLToPath(new URL('../../bin/run.js', import.meta.url))
let field: Field
let cluster: Cluster
let target: Sshd
let through: string[]
let key: UserKey

beforeAll(async () => {
  field = await startField()
  cluster = field.cluster
  target = await field.target()
  key = await field.userKey()
  await addToAgent(field.agent, key)
  through = field.throughSubsystem(key)
})

/** A recorded session of joe; its ID. */
async function session(command = 'echo hello'): Promise<string> {
  const {events} = await field.during(() =>
    sshText([...through, '-p', `${target.port}`, `${login}@127.0.0.1`, command], {env: field.agent.env}),
  )
  return events.find(({event}) => event === 'session.end')?.sid ?? ''
}

const json = async (...args: string[]) => JSON.parse((await cluster.admin([...args, '--format=json'])).stdout)

describe('recordings rm', () => {
  it('removes for good, and verify says by whom, when and why', async () => {
    const sid = await session()
    const removed = await cluster.admin([
      'recordings',
      'rm',
      sid.toUpperCase(),
      '--yes',
      '--reason',
      'asked for',
    ])
    expect(removed).toMatchObject({
      code: 0,
      stderr: '',
      stdout: `The recording of session ${sid} has been removed\n`,
    })
    expect((await json('recordings', 'ls')).map((one: {sid: string}) => one.sid)).not.toContain(sid)
    const played = await cluster.admin(['play', sid])
    expect(played).toMatchObject({code: 34, stderr: expect.stringMatching(/was removed on .*, by admin/)})
    const verified = await cluster.admin(['recordings', 'verify', sid])
    expect(verified).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/was removed in order on 20.*Z by admin: asked for\. It had \d+ chunks/),
    })
    expect(await json('recordings', 'verify', sid)).toMatchObject({
      ...{result: 'removed', sid, removedBy: 'admin', cause: 'request', reason: 'asked for'},
      recording: {user: 'joe', login},
    })
    expect(field.events().filter(({event}) => event === 'session.recording.delete')).toMatchObject([
      {code: 'TSR03I', sid, owner: 'joe', reason: 'asked for', head: expect.any(String)},
    ])
  })

  it('asks at a terminal, and takes no for an answer', async () => {
    const sid = await session()
    for (const [answer, code] of [
      ['n', 46],
      ['y', 0],
    ] as const) {
      const words = [process.execPath, program, 'recordings', 'rm', sid, `--config=${cluster.configPath}`]
      const child = start('script', ['-qec', words.map(word => `'${word}'`).join(' '), '/dev/null'], {
        env: {SHELL: '/bin/sh', TERM: 'xterm', NO_COLOR: '1'},
      })
      let screen = ''
      child.stdout.on('data', piece => {
        const asked = /for good/.test(screen)
        screen += piece
        if (!asked && /for good/.test(screen)) child.stdin.write(`${answer}\r`)
      })
      const ended = await new Promise<number | null>(resolve => child.once('close', resolve))
      expect([answer, ended, screen.includes(`Remove the recording of session ${sid}`)]).toEqual([
        ...[answer, code, true],
      ])
      const left = (await json('recordings', 'ls')).map((one: {sid: string}) => one.sid)
      expect([answer, left.includes(sid)]).toEqual([answer, answer === 'n'])
    }
  })

  it('does nothing without a terminal and --yes, nor to what is no session', async () => {
    const sid = await session()
    expect(await cluster.admin(['recordings', 'rm', sid])).toMatchObject({
      ...{code: 2, stderr: expect.stringContaining('use --yes')},
    })
    expect((await cluster.admin(['recordings', 'rm', sid, '../../state.db', '--yes'])).code).toBe(2)
    expect((await cluster.admin(['recordings', 'verify', sid])).code).toBe(0)
  })

  it('removes of several what it may, and tells the rest', async () => {
    const [sid, held, never] = [await session(), await session(), randomUUID()]
    await cluster.admin(['recordings', 'hold', held])
    const {code, stdout, stderr} = await cluster.admin(['recordings', 'rm', held, never, sid, '-y'])
    expect([code, stdout]).toEqual([15, `The recording of session ${sid} has been removed\n`])
    expect(stderr).toMatch(new RegExp(`no recording of session ${never}[\\s\\S]*${held} is under legal hold`))
  })
})

describe('recordings hold', () => {
  it('keeps a recording from being removed until it is released', async () => {
    const sid = await session()
    expect(await json('recordings', 'hold', sid, '--reason', 'case 7')).toMatchObject({
      ...{sid, hold: {at: expect.stringMatching(/Z$/), by: 'admin', reason: 'case 7'}},
    })
    const [listed] = await json('recordings', 'ls', '--held')
    expect(listed).toMatchObject({sid, hold: {by: 'admin', reason: 'case 7'}})
    expect((await cluster.admin(['recordings', 'ls', '--held'])).stdout).toContain('sealed, held')
    expect((await cluster.admin(['recordings', 'rm', sid, '-y'])).code).toBe(15)
    expect(await json('recordings', 'release', sid)).toEqual({sid, hold: null})
    expect((await cluster.admin(['recordings', 'release', sid])).code).toBe(34)
    expect(await json('recordings', 'rm', sid, '-y')).toEqual([{sid, outcome: 'removed'}])
  })
})

describe('a service that is killed while it removes a recording', () => {
  it.each([
    ['before that is decided', 'link .removing.jsonl', false],
    ['when it is on record', 'rename .removing.jsonl', true],
    ['when the tombstone is there', 'rm .cast.gz', true],
    ['before the last of it is gone', 'rm .index.jsonl', true],
  ])('%s, leaves all of it in order at its next start', async (_, at, removed) => {
    const sid = await session()
    await cluster.stop()
    const env = {NODE_OPTIONS: `--import ${killedAt}`, KILLED_AT: at}
    cluster = await startCluster({directory: field.directory, reuse: true, env})
    expect((await cluster.admin(['recordings', 'rm', sid, '--yes'])).code).not.toBe(0)
    cluster = await startCluster({directory: field.directory, reuse: true})
    through = field.throughSubsystem(key, {port: cluster.addresses.ssh.port})
    const result = async () => (await json('recordings', 'verify', sid)).result
    await expect.poll(result).toBe(removed ? 'removed' : 'verified')
    const all = await cluster.admin(['recordings', 'verify', '--all', '--format=json'])
    expect([all.code, JSON.parse(all.stdout)]).toMatchObject([0, {bad: [], removing: 0}])
    const deletions = field
      .events()
      .filter(one => one.event === 'session.recording.delete' && one.sid === sid)
    expect(deletions.map(({code}) => code)).toEqual(removed ? ['TSR03I'] : [])
    expect((await cluster.admin(['recordings', 'hold', sid])).code).toBe(removed ? 34 : 0)
  })
})

describe('recording_retention', () => {
  it('is told apart from no retention by the configuration alone, and prunes at the start', async () => {
    const [old, held] = [await session(), await session()]
    await cluster.admin(['recordings', 'hold', held])
    await cluster.stop()
    const config = readFileSync(cluster.configPath, 'utf8')
    writeFileSync(
      cluster.configPath,
      config.replace('auth_service:\n', 'auth_service:\n  recording_retention: 1ms\n'),
    )
    cluster = await startCluster({directory: field.directory, reuse: true})
    await expect
      .poll(async () => (await json('recordings', 'ls')).map((one: {sid: string}) => one.sid))
      .toContain(held)
    await expect
      .poll(async () => (await json('recordings', 'ls')).map((one: {sid: string}) => one.sid))
      .not.toContain(old)
    expect(await json('recordings', 'verify', old)).toMatchObject({result: 'removed', cause: 'retention'})
    expect((await cluster.admin(['recordings', 'verify', old])).stdout).toContain(
      'older than the cluster keeps',
    )
    const verdict = await json('recordings', 'verify', '--all')
    expect(verdict).toMatchObject({bad: [], audit: {ok: true}})
    expect(verdict.removed).toBeGreaterThan(3)
    expect(verdict.held).toBeGreaterThan(0)
  })
})

describe('what was tampered with', () => {
  let evidence: Evidence
  let key: string
  let sid: string
  beforeAll(async () => {
    evidence = await makeEvidence(Array.from({length: 6}, () => randomUUID()))
    sid = evidence.sealed[0]
    key = join(evidence.directory, 'recording.pub')
    writeFileSync(key, evidence.keyLine)
  })
  const all = ({directory}: {directory: string}) =>
    sallyport(['recordings', 'verify', '--all', `--directory=${directory}`, `--key=${key}`])

  it('is nothing, in what nobody touched', async () => {
    const {code, stdout} = await all(evidence)
    expect(code).toBe(0)
    expect(stdout).toContain('4 recordings are what was recorded.')
    expect(stdout).toContain('1 removed in order.')
    expect(stdout).toContain(
      'Nothing stands behind the log: sessions that were taken out of it and of the store alike',
    )
    const file = join(evidence.directory, 'recordings', '2025-11-21', `${sid}.cast.gz`)
    const one = await sallyport(['recordings', 'verify', file, `--key=${key}`])
    expect(one).toMatchObject({code: 0, stdout: expect.stringContaining('cannot be seen from one file')})
  })

  const member = (copy: Copy, at: number) => copy.members(sid)[at] ?? Buffer.alloc(0)
  const manipulations: [string, (copy: Copy) => void, RegExp][] = [
    [
      'flipped',
      copy => flip(copy.path(sid, 'cast.gz'), copy.index(sid).chunks[2]?.offset ?? 0),
      /chunk 2 is bad/,
    ],
    ['dropped', copy => copy.write(sid, copy.members(sid).toSpliced(3, 1)), /chunk 3 is bad/],
    [
      'swapped',
      copy => copy.write(sid, copy.members(sid).with(1, member(copy, 2)).with(2, member(copy, 1))),
      /chunk 1 is bad/,
    ],
    [
      'duplicated',
      copy => copy.write(sid, copy.members(sid).toSpliced(4, 0, member(copy, 3))),
      /chunk 4 is bad/,
    ],
    ['appended', copy => copy.write(sid, [...copy.members(sid), member(copy, 0)]), /chunk 6 is bad/],
    [
      'rolled back',
      copy => {
        copy.write(sid, copy.members(sid).slice(0, 4))
        writeFileSync(copy.path(sid, 'index.jsonl'), copy.indexLines(sid).slice(0, 5).join(''))
      },
      /chunk 4 is bad: it is missing: the recording was rolled back, the audit log names 6 chunks/,
    ],
    [
      'deleted',
      copy => {
        for (const ending of ['cast.gz', 'index.jsonl']) rmSync(copy.path(sid, ending))
      },
      /it was deleted, and has no tombstone: it had 6 chunks/,
    ],
  ]
  it.each(manipulations)('and %s is named on the command line', async (_, manipulate, words) => {
    const copy = evidence.copy()
    manipulate(copy)
    const {code, stdout, stderr} = await all(copy)
    expect([code, stderr]).toEqual([40, expect.stringContaining('1 recording is not as recorded')])
    expect(stdout.split('\n').find(line => line.startsWith(sid))).toMatch(words)
    expect(stdout).toContain('3 recordings are what was recorded.')
  })

  it('with the audit log alike shows by a checkpoint that was kept elsewhere', async () => {
    const checkpoint = join(evidence.directory, 'checkpoint.json')
    const log = await openAuditLog({directory: join(evidence.directory, 'audit'), clusterName: 'c1'})
    const facts = {cluster: 'c1', ...log.head(), time: new Date().toISOString()}
    const made = makeCheckpoint(facts, message =>
      sign(null, message, evidence.keys.privateKey).toString('base64'),
    )
    await log.close()
    writeFileSync(checkpoint, JSON.stringify(made))
    const verify = (copy: Copy, ...more: string[]) =>
      sallyport(['recordings', 'verify', `--directory=${copy.directory}`, `--key=${key}`, ...more])
    const copy = evidence.copy()
    expect(await verify(copy, `--checkpoint=${checkpoint}`)).toMatchObject({
      ...{code: 0, stdout: expect.stringContaining('holds the checkpoint')},
    })
    // The last session vanishes from the store and from the end of the log.
    const lines = readFileSync(copy.auditFile, 'utf8').trimEnd().split('\n')
    const first = lines.findIndex(line => line.includes(evidence.held))
    writeFileSync(copy.auditFile, `${lines.slice(0, first).join('\n')}\n`)
    for (const ending of ['cast.gz', 'index.jsonl', 'hold.json']) rmSync(copy.path(evidence.held, ending))
    const removal = lines.findIndex(line => line.includes('session.recording.delete'))
    expect(removal).toBeGreaterThan(first)
    rmSync(copy.path(evidence.removed, 'removed.jsonl'))
    const blind = await verify(copy)
    expect(blind.stdout).toContain('Nothing stands behind the log')
    expect(await verify(copy, `--checkpoint=${checkpoint}`)).toMatchObject({
      ...{code: 41, stderr: expect.stringContaining('the checkpoint names record')},
    })
    writeFileSync(checkpoint, JSON.stringify({...made, sequence: first}))
    expect(await verify(copy, `--checkpoint=${checkpoint}`)).toMatchObject({
      ...{code: 35, stderr: expect.stringContaining('not signed by the recording key')},
    })
  })
})

describe('audit checkpoint', () => {
  it('is verified without a service by an exported key, and shows a log that was cut', async () => {
    const out = join(field.directory, 'checkpoint.json')
    const key = join(field.directory, 'recording.pub')
    writeFileSync(key, (await cluster.admin(['auth', 'export', '--type=recording'])).stdout)
    expect((await cluster.admin(['audit', 'checkpoint', `--out=${out}`])).code).toBe(0)
    await session()
    const copy = join(field.directory, 'copy-of-audit')
    cpSync(join(cluster.dataDir, 'audit'), copy, {recursive: true})
    const verify = (...more: string[]) => sallyport(['audit', 'verify', `--directory=${copy}`, ...more])
    const whole = await verify(`--checkpoint=${out}`, `--key=${key}`)
    expect(whole).toMatchObject({code: 0, stdout: expect.stringContaining('signed by this cluster')})
    expect(whole.stdout).toMatch(/Records up to \d+ are those that were written; .*may have been cut off/)
    expect((await verify(`--checkpoint=${out}`)).stdout).toContain('was not checked')
    expect((await verify()).stdout).toContain('Nothing stands behind it: whoever can write the files')
    const {sequence} = JSON.parse(readFileSync(out, 'utf8'))
    const [name = ''] = readdirSync(copy).filter(file => file.startsWith('events-'))
    const lines = readFileSync(join(copy, name), 'utf8').split('\n')
    writeFileSync(join(copy, name), `${lines.slice(0, sequence - 1).join('\n')}\n`)
    expect((await verify()).code).toBe(0)
    expect(await verify(`--checkpoint=${out}`, `--key=${key}`)).toMatchObject({
      ...{code: 41, stderr: expect.stringContaining(`record ${sequence} of the audit log is bad`)},
    })
  })
})
