import {createHash, generateKeyPairSync, type KeyObject, sign} from 'node:crypto'
import {readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {beforeAll, describe, expect, it} from 'vitest'
import {makeCheckpoint, openAuditLog} from '../../src/lib/audit/index.js'
import {auditWords, verifyAuditFiles} from '../../src/lib/evidence/index.js'
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

const signature = (message: Buffer): string => sign(null, message, keys.privateKey).toString('base64')

/** Three days of three records each; 4, 8 and 12, the last, are signed heads. */
beforeAll(async () => {
  const directory = temporaryDirectory()
  let time = Date.parse('2025-11-21T12:00:00Z')
  const log = await openAuditLog({
    ...{directory: join(directory, 'audit'), clusterName: 'c1', now: () => time},
    signing: {sign: signature},
  })
  for (let record = 0; record < 9; record += 1) {
    await log.emit({event: 'user.create', user: `user${record}`})
    if (record % 3 === 2 && record < 8) time += DAY
  }
  await log.close()
  checkpoint = join(directory, 'checkpoint.json')
  key = join(directory, 'recording.pub')
  const facts = {cluster: 'c1', ...log.head(), time: new Date(time).toISOString()}
  writeFileSync(checkpoint, JSON.stringify(makeCheckpoint(facts, signature)))
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
  ['flip: in a name', log => flip(log.path(1), log.lines(1).join('\n').indexOf('user3')), 5],
  ['flip: in a hash', log => flip(log.path(1), at(log, 1, 0).length + 30), 5],
  ['flip: in a number', log => flip(log.path(1), at(log, 1, 0).length + 8), 5],
  ['flip: a line break', log => flip(log.path(1), at(log, 1, 0).length + 1 + at(log, 1, 1).length), 5],
  ['flip: in a signature', log => flip(log.path(1), at(log, 1, 0).length - 40), 4],
  ['flip: in a signed head', log => flip(log.path(1), at(log, 1, 0).indexOf('"uid"') + 10), 4],
  ['flip: in the very last record', log => flip(log.path(2), -20), 12],
  ['drop: a record', log => log.write(1, log.lines(1).toSpliced(2, 1)), 6],
  ['drop: a signed head', log => log.write(1, log.lines(1).toSpliced(0, 1)), 4],
  [
    'swap: two records',
    log =>
      log.write(
        1,
        log
          .lines(1)
          .with(1, at(log, 1, 2))
          .with(2, at(log, 1, 1)),
      ),
    5,
  ],
  ['duplicate: a record', log => log.write(1, log.lines(1).toSpliced(1, 0, at(log, 1, 1))), 6],
  [
    'append: a forged record',
    log => log.write(2, [...log.lines(2), at(log, 2, 3).replace('"seq":11', '"seq":13')]),
    13,
  ],
  ['roll back: the last records gone', log => log.write(2, log.lines(2).slice(0, 1)), 9],
  ['roll back: the last file gone', log => rmSync(log.path(2)), 8],
  ['delete: a file in the middle', log => rmSync(log.path(1)), 4],
  ['delete: the first file', log => rmSync(log.path(0)), 1],
  ['delete: all of them', log => [0, 1, 2].forEach(file => void rmSync(log.path(file))), 1],
]

type Files = string[][]

/** What a forger does who can write the files and has no key: numbers, hashes and names that fit again. */
function hashAgain(log: Log, manipulate: (files: Files) => Files): void {
  const files = manipulate([0, 1, 2].map(log.lines))
  for (const file of [0, 1, 2]) rmSync(log.path(file))
  let [seq, prev] = [0, '0'.repeat(64)]
  for (const [file, lines] of files.entries()) {
    const first = `events-${String(seq + 1).padStart(12, '0')}${name(file).slice(-17)}`
    const text = lines.map(line => {
      seq += 1
      const hashed = JSON.stringify({...JSON.parse(line), seq, prev})
      prev = createHash('sha256').update(hashed).digest('hex')
      return `${hashed}\n`
    })
    if (text.length > 0) writeFileSync(join(log.directory, first), text.join(''))
  }
}

const inDay = (files: Files, day: number, change: (lines: string[]) => string[]): Files =>
  files.with(day, change(files[day] ?? []))
const line = (files: Files, day: number, at: number): string => files[day]?.[at] ?? ''
const isHead = (text: string): boolean => text.includes('"audit.signed"')

/** With what follows hashed again: what the key shows by itself, and what it takes a checkpoint for. */
const hashedAgain: [
  name: string,
  manipulate: (files: Files) => Files,
  byKey: {bad: number} | {vouched: number; words: RegExp},
  byCheckpoint: {bad: number} | {vouched: number; words: RegExp},
][] = [
  [
    'flip',
    files => inDay(files, 1, lines => lines.map(text => text.replace('user3', 'userX'))),
    {bad: 8},
    {bad: 8},
  ],
  ['drop', files => inDay(files, 1, lines => lines.toSpliced(2, 1)), {bad: 7}, {bad: 7}],
  [
    'swap',
    files => inDay(files, 1, lines => lines.with(1, line(files, 1, 2)).with(2, line(files, 1, 1))),
    {bad: 8},
    {bad: 8},
  ],
  ['duplicate', files => inDay(files, 1, lines => [...lines, line(files, 1, 1)]), {bad: 9}, {bad: 9}],
  [
    'append',
    files => inDay(files, 2, lines => [...lines, line(files, 1, 1)]),
    {vouched: 12, words: /up to 12 .*those behind it may have been changed, added or taken out/},
    {vouched: 12, words: /up to 12 .*those behind it may have been changed, added or taken out/},
  ],
  [
    'roll back',
    files => inDay(files, 2, lines => lines.slice(0, 3)),
    {vouched: 8, words: /up to 8 .*others behind the end may have been cut off: that cannot be seen/},
    {bad: 11},
  ],
  ['delete a file in the middle', files => files.with(1, []), {bad: 4}, {bad: 4}],
  ['delete the first file', files => files.with(0, []), {bad: 1}, {bad: 1}],
  [
    'delete the last file',
    files => files.with(2, []),
    {vouched: 4, words: /up to 4 .*may have been cut off/},
    {bad: 8},
  ],
  [
    'take all signed heads out',
    files => files.map(lines => lines.filter(text => !isHead(text))),
    {vouched: 0, words: /no signed heads in it\.\n.*wherever it stood/},
    {bad: 10},
  ],
  [
    'take the later signed heads out',
    files => files.map((lines, day) => lines.filter(text => day < 2 || !isHead(text))),
    {vouched: 4, words: /No head was signed between record 5 .* and record 10 .*though one was due/},
    {bad: 11},
  ],
]

describe('audit verify', () => {
  const verify = (log: Log, ...more: string[]) =>
    sallyport(['audit', 'verify', `--directory=${log.directory}`, '--format=json', ...more])
  const inWords = (log: Log, ...more: string[]) =>
    sallyport(['audit', 'verify', `--directory=${log.directory}`, ...more])
  const withCheckpoint = (log: Log) => verify(log, `--checkpoint=${checkpoint}`, `--key=${key}`)

  it('finds nothing in what nobody touched', async () => {
    const {code, stdout} = await withCheckpoint(copyLog())
    expect([code, JSON.parse(stdout)]).toMatchObject([
      0,
      {ok: true, records: 12, checkpoint: 'found', signature: 'verified', vouched: 12},
    ])
    expect(JSON.parse(stdout).signed).toEqual({
      ...{heads: 3, through: 12, time: '2025-11-23T12:00:00.000Z', signature: 'verified', gaps: []},
    })
  })

  it.each(cases)('detects %s, and names the first bad record', async (_, manipulate, record) => {
    const log = copyLog()
    manipulate(log)
    const {code, stdout, stderr} = await withCheckpoint(log)
    expect([code, JSON.parse(stdout)]).toMatchObject([41, {ok: false, bad: {record}}])
    expect(stderr).toContain(`record ${record} of the audit log`)
  })

  it.each(hashedAgain)(
    'knows, where everything after it was hashed again, of: %s',
    async (_, manipulate, byKey, byCheckpoint) => {
      const log = copyLog()
      hashAgain(log, manipulate)
      const told = async (by: {keys?: KeyObject[]; checkpoint?: string}) => {
        const verdict = await verifyAuditFiles({directory: log.directory, ...by})
        return verdict.ok
          ? {vouched: verdict.vouched, words: auditWords(verdict).join('\n')}
          : {bad: verdict.bad.record}
      }
      const expected = (by: typeof byKey) =>
        'bad' in by ? by : {vouched: by.vouched, words: expect.stringMatching(new RegExp(by.words, 's'))}
      expect(await told({keys: [keys.publicKey]})).toEqual(expected(byKey))
      expect(await told({keys: [keys.publicKey], checkpoint})).toEqual(expected(byCheckpoint))
      // The chain alone shows none of it, and says so.
      const words = /Nothing stands behind it: .*changed, added or taken out any record, wherever it stood/
      expect(await told({})).toEqual(expected({vouched: 0, words}))
    },
  )

  it('says what it is that cannot be seen, with a key and a checkpoint, with either and with neither', async () => {
    const words = async (...more: string[]) =>
      (await inWords(copyLog(), ...more)).stdout.trimEnd().split('\n').slice(1)
    const unseen =
      'Records up to 12 are those that were written; others behind the end may have been cut off: that cannot be seen.'
    const heads =
      'Its signed heads are signed by this cluster: 3, the last of them record 12, of 2025-11-23T12:00:00.000Z.'
    expect(await words(`--key=${key}`)).toEqual([heads, unseen])
    expect(await words(`--key=${key}`, `--checkpoint=${checkpoint}`)).toEqual([
      ...[heads, 'It holds the checkpoint, which is signed by this cluster.', unseen],
    ])
    expect(await words(`--checkpoint=${checkpoint}`)).toEqual([
      heads.replace('signed by this cluster', 'not checked: use --key'),
      ...[
        'It holds the checkpoint.',
        'Who signed the checkpoint was not checked: name the key with --key.',
        unseen,
      ],
    ])
    expect(await words()).toEqual([
      heads.replace('signed by this cluster', 'not checked: use --key'),
      expect.stringMatching(/^Nothing stands behind it: .* Name the key with --key, or give a checkpoint\.$/),
    ])
  })

  it('believes no head that another key signed', async () => {
    const other = join(temporaryDirectory(), 'other.pub')
    const blob = publicKeyBlob(generateKeyPairSync('ed25519').publicKey)
    writeFileSync(other, `${formatAuthorizedKey(blob)}\n`)
    const {code, stderr} = await verify(copyLog(), `--key=${other}`)
    expect([code, stderr]).toEqual([41, expect.stringMatching(/record 4 .*it or one of records 1 to 3/)])
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
