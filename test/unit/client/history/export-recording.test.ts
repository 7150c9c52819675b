import {randomUUID} from 'node:crypto'
import {readFileSync, truncateSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {gunzipSync} from 'node:zlib'
import {beforeAll, describe, expect, it} from 'vitest'
import {type ExportFormat, exportRecording} from '../../../../src/lib/client/history/export-recording.js'
import type {SallyportError} from '../../../../src/lib/errors/index.js'
import {type Copy, type Evidence, flip, makeEvidence, openEvidenceStore} from '../../../support/evidence.js'
import {run} from '../../../support/process.js'
import {temporaryDirectory} from '../../../support/temporary-directory.js'

const [a, b, c, open, removed, held] = Array.from({length: 6}, () => randomUUID()) as [
  ...[string, string, string, string, string, string],
]
const formats: ExportFormat[] = ['stored', 'cast', 'cast3', 'text', 'html', 'raw']
let evidence: Evidence

beforeAll(async () => {
  evidence = await makeEvidence([a, b, c, open, removed, held])
})

interface Outcome {
  /** Undefined where it refuses before anything was written. */
  content?: Buffer
  fault?: SallyportError | undefined
  remark?: string | undefined
}

async function exported(copy: Copy, format: ExportFormat, sid = a): Promise<Outcome> {
  const store = await openEvidenceStore(copy.directory, evidence.keys)
  const pieces: Buffer[] = []
  try {
    const api = {openRecording: (id: string) => store.open(id), listEvents: async () => []}
    const {content, remark, fault} = await exportRecording(api, sid, format)
    for await (const piece of content) pieces.push(Buffer.from(piece))
    return {content: Buffer.concat(pieces), remark, fault: fault()}
  } catch (fault) {
    expect(pieces).toEqual([])
    return {fault: fault as SallyportError}
  } finally {
    await store.close()
  }
}

const data = (copy: Copy): string => copy.path(a, 'cast.gz')
const offset = (copy: Copy, chunk: number): number => copy.index(a).chunks[chunk]?.offset ?? 0

type Damage = [name: string, manipulate: (copy: Copy) => void, parts: number]

/** What is done to the file, and how many of the five parts of the session are still to be had. */
const damages: Damage[] = [
  ['cut before the first line ends', copy => truncateSync(data(copy), 30), 0],
  ['cut inside chunk 1', copy => truncateSync(data(copy), offset(copy, 1) + 30), 0],
  ['cut between two chunks', copy => truncateSync(data(copy), offset(copy, 3)), 2],
  ['cut inside the last chunk', copy => truncateSync(data(copy), offset(copy, 5) + 25), 4],
  ['cut inside the seal', copy => copy.write(a, without(copy, 20)), 5],
  ['cut in the trailer of the seal', copy => copy.write(a, without(copy, 1)), 5],
  ['its seal taken away', copy => copy.write(a, copy.members(a).slice(0, -1)), 5],
  ['a byte of chunk 1 flipped', copy => flip(data(copy), offset(copy, 1) + 25), 0],
  ['a byte of chunk 3 flipped', copy => flip(data(copy), offset(copy, 3) + 25), 2],
  ['a byte of the seal flipped', copy => flip(data(copy), -30), 5],
  ['emptied', copy => truncateSync(data(copy), 0), 0],
]

function without(copy: Copy, bytes: number): Buffer[] {
  const all = readFileSync(data(copy))
  return [all.subarray(0, all.length - bytes)]
}

const partsIn = (text: string): number[] =>
  [1, 2, 3, 4, 5].filter(part => text.includes(`${a} part ${part} `))

describe.each(damages)('a recording, %s', (_, manipulate, parts) => {
  it.each(formats)('ends as an error as %s, and what precedes the damage is given', async format => {
    const copy = evidence.copy()
    manipulate(copy)
    const {content, fault} = await exported(copy, format)
    expect(fault).toMatchObject({code: 'recording_corrupt', exitCode: 40})
    if (format === 'stored') return expect(content).toEqual(readFileSync(data(copy)))
    const text = content?.toString('utf8') ?? ''
    expect(partsIn(text)).toEqual([1, 2, 3, 4, 5].slice(0, parts))
    if (format === 'html' && content) {
      expect(text).toContain(`<p role="note">${fault?.message}</p>`)
      expect(text.trimEnd()).toMatch(/<\/html>$/)
    }
    if (format.startsWith('cast'))
      for (const line of text.trimEnd().split('\n').filter(Boolean))
        expect(() => JSON.parse(line)).not.toThrow()
  })
})

describe('a recording that is whole', () => {
  it.each(formats)('is given without a word as %s', async format => {
    const copy = evidence.copy()
    const {content, fault, remark} = await exported(copy, format)
    expect([fault, remark]).toEqual([undefined, undefined])
    if (format === 'stored') expect(content).toEqual(readFileSync(data(copy)))
    else if (format === 'cast') expect(content).toEqual(gunzipSync(readFileSync(data(copy))))
    else expect(partsIn(content?.toString('utf8') ?? '')).toEqual([1, 2, 3, 4, 5])
  })

  it.each(formats)('is told from one that was cut short, as %s', async format => {
    const {content, fault, remark} = await exported(evidence.copy(), format, open)
    expect(fault).toBeUndefined()
    expect(remark).toBe('the recording was cut short: the end of the session is not in it')
    expect(content?.length).toBeGreaterThan(0)
  })
})

it('whose session has only begun says so, and not that it is damaged', async () => {
  const store = await openEvidenceStore(temporaryDirectory(), evidence.keys)
  const sid = randomUUID()
  await store.begin({
    ...{sid, cluster: 'c1', user: 'joe', login: 'root', host: 'web1', address: '10.0.0.7:22'},
    ...{startedAt: 0, interactive: true, width: 80, height: 24},
  })
  const api = {openRecording: (id: string) => store.open(id), listEvents: async () => []}
  await expect(exportRecording(api, sid, 'cast')).rejects.toMatchObject({code: 'recording_unavailable'})
  await store.close()
})

it('that is cut can still be read by asciinema', async () => {
  const copy = evidence.copy()
  truncateSync(data(copy), offset(copy, 3) + 30)
  const file = join(temporaryDirectory(), 'cut.cast')
  writeFileSync(file, (await exported(copy, 'cast')).content ?? '')
  const {code, stdout} = await run('script', ['-qec', `LC_ALL=C.UTF-8 asciinema cat ${file}`, '/dev/null'])
  expect(code).toBe(0)
  expect(partsIn(stdout.toString('utf8'))).toEqual([1, 2])
})
