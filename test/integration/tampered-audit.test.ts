import {generateKeyPairSync, sign} from 'node:crypto'
import {readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {beforeAll, describe, expect, it} from 'vitest'
import {makeCheckpoint, openAuditLog} from '../../src/lib/audit/index.js'
import {formatAuthorizedKey, publicKeyBlob} from '../../src/lib/sshcert/index.js'
import {sallyport} from '../support/cluster.js'
import {flip} from '../support/evidence.js'
import {temporaryDirectory} from '../support/temporary-directory.js'

// Whoever can write the files of the log changes them; `audit verify` says where, on the command line.

const keys = generateKeyPairSync('ed25519')
const DAY = 86_400_000
let original: Map<string, Buffer>
let checkpoint: string
let key: string

/** Three days of three records each. */
beforeAll(async () => {
  const directory = temporaryDirectory()
  let time = Date.parse('2025-11-21T12:00:00Z')
  const log = await openAuditLog({directory: join(directory, 'audit'), clusterName: 'c1', now: () => time})
  for (let record = 0; record < 9; record += 1) {
    await log.emit({event: 'user.create', user: `user${record}`})
    if (record % 3 === 2) time += DAY
  }
  const facts = {cluster: 'c1', ...log.head(), time: new Date(time).toISOString()}
  await log.close()
  checkpoint = join(directory, 'checkpoint.json')
  key = join(directory, 'recording.pub')
  const signed = makeCheckpoint(facts, message => sign(null, message, keys.privateKey).toString('base64'))
  writeFileSync(checkpoint, JSON.stringify(signed))
  writeFileSync(key, `${formatAuthorizedKey(publicKeyBlob(keys.publicKey))}\n`)
  const files = readdirSync(join(directory, 'audit')).sort()
  original = new Map(files.map(name => [name, readFileSync(join(directory, 'audit', name))]))
})

const name = (file: number): string => [...original.keys()][file] ?? ''

/** A copy of the log for one manipulation. */
function copyLog() {
  const directory = temporaryDirectory()
  for (const [file, bytes] of original) writeFileSync(join(directory, file), bytes)
  const path = (file: number) => join(directory, name(file))
  const lines = (file: number) => readFileSync(path(file), 'utf8').trimEnd().split('\n')
  const write = (file: number, text: string[]) =>
    writeFileSync(path(file), text.map(line => `${line}\n`).join(''))
  return {directory, path, lines, write}
}

type Log = ReturnType<typeof copyLog>
const at = (log: Log, file: number, line: number): string => log.lines(file)[line] ?? ''

const cases: [name: string, manipulate: (log: Log) => void, record: number][] = [
  ['flip: in a name', log => flip(log.path(1), log.lines(1)[0]?.indexOf('user3') ?? 0), 4],
  ['flip: in a hash', log => flip(log.path(1), (log.lines(1)[0]?.indexOf('"prev":"') ?? 0) + 20), 4],
  ['flip: in a number', log => flip(log.path(1), (log.lines(1)[0]?.indexOf('"seq":') ?? 0) + 6), 4],
  ['flip: a line break', log => flip(log.path(1), log.lines(1)[0]?.length ?? 0), 4],
  ['flip: in the very last record', log => flip(log.path(2), -20), 9],
  ['drop: a record', log => log.write(1, log.lines(1).toSpliced(1, 1)), 5],
  ['swap: two records', log => log.write(1, [at(log, 1, 1), at(log, 1, 0), at(log, 1, 2)]), 4],
  ['duplicate: a record', log => log.write(1, log.lines(1).toSpliced(1, 0, at(log, 1, 0))), 5],
  [
    'append: a forged record',
    log => log.write(2, [...log.lines(2), at(log, 2, 2).replace('"seq":9', '"seq":10')]),
    10,
  ],
  ['roll back: the last records gone', log => log.write(2, log.lines(2).slice(0, 1)), 8],
  ['roll back: the last file gone', log => rmSync(log.path(2)), 7],
  ['delete: a file in the middle', log => rmSync(log.path(1)), 4],
  ['delete: the first file', log => rmSync(log.path(0)), 1],
  ['delete: all of them', log => [0, 1, 2].forEach(file => void rmSync(log.path(file))), 1],
]

describe('audit verify', () => {
  const verify = (log: Log, ...more: string[]) =>
    sallyport(['audit', 'verify', `--directory=${log.directory}`, '--format=json', ...more])
  const withCheckpoint = (log: Log) => verify(log, `--checkpoint=${checkpoint}`, `--key=${key}`)

  it('finds nothing in what nobody touched', async () => {
    const {code, stdout} = await withCheckpoint(copyLog())
    expect([code, JSON.parse(stdout)]).toMatchObject([
      0,
      {ok: true, records: 9, checkpoint: 'found', signature: 'verified'},
    ])
  })

  it.each(cases)('detects %s, and names the first bad record', async (_, manipulate, record) => {
    const log = copyLog()
    manipulate(log)
    const {code, stdout, stderr} = await withCheckpoint(log)
    expect([code, JSON.parse(stdout)]).toMatchObject([41, {ok: false, bad: {record}}])
    expect(stderr).toContain(`record ${record} of the audit log`)
  })

  it('says without a checkpoint what it cannot see, and sees a rolled back log with one alone', async () => {
    const log = copyLog()
    log.write(2, log.lines(2).slice(0, 1))
    const blind = await sallyport(['audit', 'verify', `--directory=${log.directory}`])
    expect(blind).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(
        /7 records[\s\S]*records missing at its end and a changed last record cannot be seen/,
      ),
    })
  })

  it('takes no checkpoint that the key did not sign, nor one that is none', async () => {
    const other = join(temporaryDirectory(), 'checkpoint.json')
    const genuine = JSON.parse(readFileSync(checkpoint, 'utf8'))
    const {sequence, hash} = genuine
    for (const [wrong, code] of [
      [{...genuine, sequence: 7}, 35],
      [{...genuine, cluster: 'c2'}, 35],
      [{...genuine, time: '2025-11-20T00:00:00.000Z'}, 35],
      [{...genuine, signature: 'AAAA'}, 35],
      [{...genuine, version: 2}, 35],
      [{sequence, hash}, 35],
      [[], 35],
      [{...genuine}, 0],
    ] as const) {
      writeFileSync(other, JSON.stringify(wrong))
      expect([wrong, (await verify(copyLog(), `--checkpoint=${other}`, `--key=${key}`)).code]).toEqual([
        wrong,
        code,
      ])
    }
    writeFileSync(other, JSON.stringify({head: {sequence, hash}}))
    const bare = await verify(copyLog(), `--checkpoint=${other}`)
    expect(JSON.parse(bare.stdout)).toMatchObject({ok: true, checkpoint: 'found', signature: 'absent'})
    writeFileSync(other, 'nonsense')
    expect((await verify(copyLog(), `--checkpoint=${other}`)).code).toBe(35)
  })
})
