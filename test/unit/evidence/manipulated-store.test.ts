import {randomUUID} from 'node:crypto'
import {cpSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync} from 'node:fs'
import {dirname, join} from 'node:path'
import {gzipSync} from 'node:zlib'
import {beforeAll, describe, expect, it} from 'vitest'
import type {AuditEvent} from '../../../src/lib/audit/index.js'
import type {BadRecording} from '../../../src/lib/evidence/index.js'
import {verifySessionFiles, verifyStoreFiles} from '../../../src/lib/evidence/index.js'
import {sealDigest} from '../../../src/lib/recording/evidence/signature.js'
import {formatSealLine, sealMember} from '../../../src/lib/recording/format/index-file.js'
import {signRecordingHead} from '../../../src/lib/recording/index.js'
import {
  began,
  type Copy,
  type Evidence,
  flip,
  makeEvidence,
  openEvidenceLog,
  openEvidenceStore,
  recordSession,
} from '../../support/evidence.js'

const [a, b, c, open, removed, held] = Array.from({length: 6}, () => randomUUID()) as [
  ...[string, string, string, string, string, string],
]
let evidence: Evidence

beforeAll(async () => {
  evidence = await makeEvidence([a, b, c, open, removed, held])
})

const verify = (directory: string, now = Date.now()) =>
  verifyStoreFiles({directory, keys: [evidence.keys.publicKey], checkSignature: false, now})

const verifyOne = (directory: string, sid: string) =>
  verifySessionFiles(sid, {
    ...{directory, keys: [evidence.keys.publicKey], checkSignature: false, now: Date.now()},
  })

/** Makes the recording end after so many chunks, as whoever has the recording key could. */
function rollBack(copy: Copy, sid: string, chunks: number): void {
  const {chunks: all, seal} = copy.index(sid)
  const end = {
    ...{endedAt: seal?.endedAt ?? 0, durationMs: seal?.durationMs ?? 0, chunks},
    head: all[chunks - 1]?.sha256 ?? '',
  }
  const signature = signRecordingHead(evidence.keys.privateKey, sid, sealDigest(sid, end))
  copy.write(sid, [...copy.members(sid).slice(0, chunks), sealMember({...end, signature})])
  const lines = copy.indexLines(sid).slice(0, chunks + 1)
  writeFileSync(copy.path(sid, 'index.jsonl'), lines.join('') + formatSealLine({...end, signature}))
}

const member = (copy: Copy, at: number): Buffer => copy.members(a)[at] ?? Buffer.alloc(0)
const forged = gzipSync('[9,"o","forged"]\n')
const offset = (copy: Copy, chunk: number): number => copy.index(a).chunks[chunk]?.offset ?? 0

type Case = [name: string, manipulate: (copy: Copy) => void | Promise<void>, bad: Partial<BadRecording>[]]

const changed = (chunk?: number): Partial<BadRecording>[] => [
  {sid: a, problem: 'changed', ...(chunk !== undefined && {chunk})},
]
const lose = (copy: Copy, sid: string, ...endings: string[]): void => {
  for (const ending of endings) rmSync(copy.path(sid, ending))
}

const cases: Case[] = [
  ['flip: the header', copy => flip(copy.path(a, 'cast.gz'), 20), changed(0)],
  ['flip: a chunk', copy => flip(copy.path(a, 'cast.gz'), offset(copy, 2) + 20), changed(2)],
  ['flip: the last chunk', copy => flip(copy.path(a, 'cast.gz'), offset(copy, 5) + 20), changed(5)],
  ['flip: the seal', copy => flip(copy.path(a, 'cast.gz'), -30), changed()],
  ['flip: the facts of the index', copy => edit(copy, a, text => text.replace('"joe"', '"ann"')), changed(0)],
  ['flip: a digest of the index', copy => editLine(copy, a, 4, /"sha256":"./, '"sha256":"X'), changed()],
  ['flip: a time of the index', copy => editLine(copy, a, 4, /"last":\d+/, '"last":9'), changed()],
  [
    'flip: the seal of the index',
    copy => editLine(copy, a, 7, /"durationMs":\d/, '"durationMs":9'),
    changed(),
  ],
  ['drop: a chunk', copy => copy.write(a, copy.members(a).toSpliced(2, 1)), changed(2)],
  ['drop: the last chunk', copy => copy.write(a, copy.members(a).toSpliced(5, 1)), changed(5)],
  ['drop: the seal', copy => copy.write(a, copy.members(a).slice(0, -1)), changed()],
  ['drop: a line of the index', copy => editLine(copy, a, 4, /.*\n/, ''), changed()],
  [
    'swap: two chunks',
    copy => copy.write(a, copy.members(a).with(2, member(copy, 3)).with(3, member(copy, 2))),
    changed(2),
  ],
  [
    'swap: two recordings',
    copy => swap(copy, a, b),
    [
      {sid: a, chunk: 0},
      {sid: b, chunk: 0},
    ],
  ],
  ['duplicate: a chunk', copy => copy.write(a, copy.members(a).toSpliced(3, 0, member(copy, 2))), changed(3)],
  ['duplicate: a recording, on another day', copy => again(copy, a), [{sid: a, problem: 'twice'}]],
  ['append: after the seal', copy => copy.write(a, [...copy.members(a), forged]), changed(6)],
  ['append: before the seal', copy => copy.write(a, copy.members(a).toSpliced(6, 0, forged)), changed(6)],
  ['append: a line to the index', copy => edit(copy, a, text => `${text}{"seq":6}\n`), changed()],
  ['append: a recording of no session', copy => plant(copy), [{problem: 'unknown'}]],
  ['roll back: data and index to four chunks', copy => cut(copy, 4), changed(4)],
  ['roll back: signed with the key of the cluster', copy => rollBack(copy, a, 4), changed(4)],
  ['roll back: to the header alone, signed', copy => rollBack(copy, a, 1), changed(1)],
  ['roll back: the seal taken from data and index', copy => cut(copy, 6), changed()],
  [
    'delete: all files of a recording',
    copy => lose(copy, a, 'cast.gz', 'index.jsonl'),
    [{sid: a, problem: 'missing', reason: expect.stringContaining('6 chunks')}],
  ],
  ['delete: the data', copy => lose(copy, a, 'cast.gz'), changed()],
  ['delete: the index', copy => lose(copy, a, 'index.jsonl'), [{sid: a, problem: 'missing'}]],
  [
    'delete: one that has no end yet',
    copy => lose(copy, open, 'cast.gz', 'index.jsonl'),
    [{sid: open, problem: 'missing'}],
  ],
  ['delete: a tombstone', copy => lose(copy, removed, 'removed.jsonl'), [{sid: removed, problem: 'missing'}]],
  ['delete: a hold', copy => lose(copy, held, 'hold.json'), [{sid: held, problem: 'hold'}]],
  [
    'delete: with the tombstone of another recording',
    copy => {
      lose(copy, a, 'cast.gz', 'index.jsonl')
      cpSync(copy.path(removed, 'removed.jsonl'), copy.path(a, 'removed.jsonl'))
    },
    [{sid: a, problem: 'tombstone'}],
  ],
  [
    'delete: with a tombstone signed with the key, of which the log knows nothing',
    async copy => {
      const store = await openEvidenceStore(copy.directory, evidence.keys)
      await store.remove(a, {at: began, by: 'admin', cause: 'request', announce: async () => {}})
      await store.close()
    },
    [{sid: a, problem: 'tombstone', reason: expect.stringContaining('knows nothing')}],
  ],
  [
    'flip: a tombstone',
    copy => flip(copy.path(removed, 'removed.jsonl'), 80),
    [{sid: removed, problem: 'tombstone'}],
  ],
  [
    'return: a recording that was removed',
    copy => {
      lose(copy, removed, 'removed.jsonl')
      for (const ending of ['cast.gz', 'index.jsonl'])
        cpSync(copy.path(a, ending), copy.path(removed, ending))
    },
    [{sid: removed}],
  ],
]

function edit(copy: Copy, sid: string, change: (text: string) => string): void {
  const path = copy.path(sid, 'index.jsonl')
  writeFileSync(path, change(readFileSync(path, 'utf8')))
}

function editLine(copy: Copy, sid: string, at: number, from: RegExp, to: string): void {
  const lines = copy.indexLines(sid)
  const line = (lines[at] ?? '').replace(from, to)
  expect(line).not.toBe(lines[at])
  writeFileSync(copy.path(sid, 'index.jsonl'), lines.with(at, line).join(''))
}

function swap(copy: Copy, one: string, other: string): void {
  for (const ending of ['cast.gz', 'index.jsonl']) {
    const aside = copy.path(one, `${ending}.aside`)
    renameSync(copy.path(one, ending), aside)
    renameSync(copy.path(other, ending), copy.path(one, ending))
    renameSync(aside, copy.path(other, ending))
  }
}

function again(copy: Copy, sid: string): void {
  const other = join(dirname(dirname(copy.path(sid, 'x'))), '2025-11-22')
  mkdirSync(other)
  for (const ending of ['cast.gz', 'index.jsonl'])
    cpSync(copy.path(sid, ending), join(other, `${sid}.${ending}`))
}

async function plant(copy: Copy): Promise<void> {
  const store = await openEvidenceStore(copy.directory, evidence.keys)
  await recordSession(store, {emit: async () => ({}) as AuditEvent}, randomUUID())
  await store.close()
}

function cut(copy: Copy, chunks: number): void {
  copy.write(a, copy.members(a).slice(0, chunks))
  writeFileSync(
    copy.path(a, 'index.jsonl'),
    copy
      .indexLines(a)
      .slice(0, chunks + 1)
      .join(''),
  )
}

describe('a store', () => {
  it('that nobody touched is what the log says', async () => {
    expect(await verify(evidence.directory)).toMatchObject({
      ...{verified: 4, truncated: 0, unvouched: 0, removed: 1, open: 1, held: 1, bad: []},
      audit: {ok: true, checkpoint: 'none'},
    })
  })

  it.each(cases)('%s: is detected, and named', async (_, manipulate, bad) => {
    const copy = evidence.copy()
    await manipulate(copy)
    const verdict = await verify(copy.directory)
    expect(verdict.bad).toHaveLength(bad.length)
    expect(verdict.bad).toEqual(expect.arrayContaining(bad.map(one => expect.objectContaining(one))))
    // Each by itself is judged the same.
    for (const {sid, ...fault} of verdict.bad)
      expect(await verifyOne(copy.directory, sid)).toMatchObject({result: 'bad', ...fault})
  })

  it('without the key that signed it is not believed', async () => {
    const other = await makeEvidence(Array.from({length: 6}, () => randomUUID()))
    const verdict = await verifyStoreFiles({
      ...{directory: evidence.directory, keys: [other.keys.publicKey]},
      ...{checkSignature: false, now: Date.now()},
    })
    expect([verdict.verified, verdict.removed, verdict.bad.length]).toEqual([0, 0, 5])
  })

  it('may be used meanwhile: what has only begun is not held against the log', async () => {
    const copy = evidence.copy()
    await plant(copy)
    expect((await verify(copy.directory, began)).bad).toEqual([])
  })

  it('says of recordings from before lengths were on record that only their signature speaks for them', async () => {
    const copy = evidence.copy()
    const log = await openEvidenceLog(copy.directory)
    const store = await openEvidenceStore(copy.directory, evidence.keys)
    const sid = randomUUID()
    const emit: typeof log.emit = ({fields: _, ...input}) => log.emit(input)
    await recordSession(store, {emit}, sid)
    await log.close()
    expect(await verify(copy.directory)).toMatchObject({verified: 5, unvouched: 1, bad: []})
  })

  it('that was rolled back is not made right by a later word of its length', async () => {
    const copy = evidence.copy()
    rollBack(copy, a, 4)
    const {chunks} = copy.index(a)
    const log = await openEvidenceLog(copy.directory)
    await log.emit({event: 'session.upload', sid: a, fields: {chunks: 4, head: chunks.at(-1)?.sha256}})
    await log.close()
    expect((await verify(copy.directory)).bad).toMatchObject([{sid: a, problem: 'changed', chunk: 4}])
  })

  it('whose removal was cut off is finished, or says what is there', async () => {
    const copy = evidence.copy()
    const log = await openEvidenceLog(copy.directory)
    await log.emit({event: 'session.recording.delete', sid: c})
    expect((await verify(copy.directory)).bad).toMatchObject([{sid: c, problem: 'returned'}])
    await log.emit({event: 'session.recording.delete', success: false, sid: c})
    await log.close()
    expect((await verify(copy.directory)).bad).toEqual([])
  })
})

describe('one session of a store', () => {
  it('is what the log says, whatever became of the others', async () => {
    const copy = evidence.copy()
    flip(copy.path(b, 'cast.gz'), 20)
    const whole = await verifyOne(copy.directory, a)
    expect(whole).toMatchObject({result: 'verified', sid: a, chunks: 6, vouched: true, audit: {ok: true}})
    expect(await verifyOne(copy.directory, removed)).toMatchObject({result: 'removed', vouched: true})
    expect(await verifyOne(copy.directory, open)).toMatchObject({result: 'unsealed', vouched: false})
    expect(await verifyOne(copy.directory, held)).toMatchObject({result: 'verified'})
    await expect(verifyOne(copy.directory, randomUUID())).rejects.toMatchObject({code: 'not_found'})
  })

  it('is not believed where the log is bad, or does not hold the checkpoint', async () => {
    const copy = evidence.copy()
    writeFileSync(copy.auditFile, readFileSync(copy.auditFile, 'utf8').replace('"joe"', '"ann"'))
    expect(await verifyOne(copy.directory, a)).toMatchObject({audit: {ok: false}})
    const checkpoint = join(copy.directory, 'checkpoint.json')
    writeFileSync(checkpoint, JSON.stringify({sequence: 999, hash: 'ab'.repeat(32)}))
    expect(
      await verifySessionFiles(a, {
        ...{directory: evidence.directory, keys: [evidence.keys.publicKey], checkpoint},
        ...{checkSignature: false, now: Date.now()},
      }),
    ).toMatchObject({result: 'verified', audit: {ok: false}})
  })
})
