import {generateKeyPairSync, sign as signBytes, verify as verifyBytes} from 'node:crypto'
import {readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import fc from 'fast-check'
import {beforeEach, describe, expect, it, vi} from 'vitest'
import {
  type AuditLog,
  type ChainHead,
  type HeadSigning,
  openAuditLog,
  verifyAuditLog,
} from '../../../src/lib/audit/index.js'
import type {SallyportError} from '../../../src/lib/errors/index.js'
import {atEnd} from '../../support/cleanup.js'
import {temporaryDirectory} from '../../support/temporary-directory.js'

const MINUTE = 60_000
const keys = generateKeyPairSync('ed25519')
const sign = (message: Buffer): string => signBytes(null, message, keys.privateKey).toString('base64')

let directory: string
let time: number

beforeEach(() => {
  directory = temporaryDirectory()
  time = Date.parse('2025-11-21T12:00:00.000Z')
})

async function open(more: Partial<HeadSigning> | false = {}): Promise<AuditLog> {
  const signing = more && {signing: {sign, ...more}}
  const log = await openAuditLog({directory, clusterName: 'c1', now: () => time, ...signing})
  atEnd(log.close)
  return log
}

const login = (log: AuditLog) => log.emit({event: 'user.login', user: 'joe'})
const lines = () =>
  readdirSync(directory)
    .filter(name => name.endsWith('.jsonl'))
    .sort()
    .flatMap(name => readFileSync(join(directory, name), 'utf8').trimEnd().split('\n'))
const events = () => lines().map(line => JSON.parse(line).event)
const verify = () => verifyAuditLog(directory, undefined, [keys.publicKey])

describe('the log signs its end', () => {
  it('when it is closed and when it is opened, if that is new, and not otherwise', async () => {
    await (await open()).close()
    expect(lines()).toEqual([])
    const log = await open(false)
    await login(log)
    await log.close()
    for (let start = 0; start < 3; start += 1) await (await open()).close()
    expect(events()).toEqual(['user.login', 'audit.signed'])
    const next = await open()
    await login(next)
    await next.close()
    expect(events().slice(2)).toEqual(['user.login', 'audit.signed'])
    expect(await verify()).toMatchObject({ok: true, vouched: 4, signed: {heads: 2, gaps: []}})
  })

  it('in a way that anybody with the documentation can check', async () => {
    const log = await open()
    await login(log)
    await log.close()
    const line = lines()[1] ?? ''
    const at = line.indexOf(',"signature":"')
    const message = Buffer.from(`sallyport-audit-head-v1\n${line.slice(0, at)}}\n`)
    const signature = Buffer.from(JSON.parse(line).signature, 'base64')
    expect(verifyBytes(null, message, keys.publicKey, signature)).toBe(true)
    expect(JSON.parse(line)).toMatchObject({code: 'TAL02I', seq: 2, cluster_name: 'c1'})
  })

  it('before the first record that comes a minute later, and in the same write', async () => {
    const log = await open()
    await login(log)
    time += MINUTE - 1
    await login(log)
    expect(events()).toEqual(['user.login', 'user.login'])
    time += 1
    expect(await login(log)).toMatchObject({seq: 4})
    expect(events()).toEqual(['user.login', 'user.login', 'audit.signed', 'user.login'])
  })

  it('after a thousand records, however fast they come', async () => {
    const log = await open()
    const seqs = await Promise.all(Array.from({length: 2500}, async () => (await login(log)).seq))
    expect(new Set(seqs).size).toBe(2500)
    const signed = events().flatMap((event, at) => (event === 'audit.signed' ? [at + 1] : []))
    expect(signed).toEqual([1001, 2002])
    expect(await verify()).toMatchObject({ok: true, vouched: 2002, signed: {gaps: []}})
  })

  it('when a minute is over and nothing follows; once', async () => {
    vi.useFakeTimers({toFake: ['setTimeout', 'clearTimeout']})
    try {
      const signed: ChainHead[] = []
      let told = (): void => undefined
      const first = new Promise<void>(resolve => {
        told = resolve
      })
      const log = await open({
        onSigned: head => {
          signed.push(head)
          told()
        },
      })
      await login(log)
      await vi.advanceTimersByTimeAsync(MINUTE - 1)
      expect(signed).toEqual([])
      await vi.advanceTimersByTimeAsync(1)
      await first
      expect(signed).toEqual([log.head()])
      await vi.advanceTimersByTimeAsync(100 * MINUTE)
      await log.close()
      expect(events()).toEqual(['user.login', 'audit.signed'])
    } finally {
      vi.useRealTimers()
    }
  })

  it('without a gap, whatever the clock does', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({min: -200_000, max: 200_000}), {maxLength: 40}), async steps => {
        directory = temporaryDirectory()
        const log = await open()
        for (const step of steps) {
          time += step
          await login(log)
        }
        await log.close()
        const sequence = log.head().sequence
        expect(await verify()).toMatchObject({ok: true, vouched: sequence, signed: {gaps: []}})
        expect(events().join()).not.toContain('audit.signed,audit.signed')
      }),
      {numRuns: 25},
    )
  })

  it('at the next opportunity, where the disk had no room, and says that', async () => {
    const problems: SallyportError[] = []
    const log = await open({onProblem: error => problems.push(error)})
    await login(log)
    const obstacle = join(directory, 'events-000000000002-2025-11-22.jsonl')
    writeFileSync(obstacle, 'x')
    time += 12 * 60 * MINUTE
    await log.close()
    expect(problems).toMatchObject([{code: 'audit_corrupt'}])
    rmSync(obstacle)
    await open()
    expect(events()).toEqual(['user.login', 'audit.signed'])
    expect(await verify()).toMatchObject({ok: true, vouched: 2})
  })

  it('across days and after pruning', async () => {
    const log = await open()
    for (let day = 0; day < 6; day += 1) {
      await login(log)
      time += 24 * 60 * MINUTE
    }
    expect(await log.prune({before: time - 4 * 24 * 60 * MINUTE, sign})).toBeGreaterThan(0)
    await log.close()
    const {sequence} = log.head()
    expect(await verify()).toMatchObject({ok: true, vouched: sequence, signed: {gaps: []}})
    expect(await verifyAuditLog(directory)).toMatchObject({vouched: 0, signed: {signature: 'unchecked'}})
  })

  it('with records that are given back as they stand in the log', async () => {
    const log = await open()
    await login(log)
    time += MINUTE
    await login(log)
    expect((await log.query({order: 'oldest'})).map(event => JSON.stringify(event))).toEqual(lines())
  })
})

describe('verifying points out', () => {
  it('where a log that was signed went on without: for longer than a head is due', async () => {
    const log = await open()
    await login(log)
    await log.close()
    const unsigned = await open(false)
    for (let minute = 0; minute < 5; minute += 1) {
      await login(unsigned)
      time += MINUTE
    }
    await unsigned.close()
    const gap = {from: 3, to: 7, since: '2025-11-21T12:00:00.000Z', until: '2025-11-21T12:04:00.000Z'}
    expect(await verify()).toMatchObject({ok: true, vouched: 2, signed: {heads: 1, gaps: [gap]}})
    await (await open()).close()
    expect(await verify()).toMatchObject({ok: true, vouched: 8, signed: {heads: 2, gaps: [gap]}})
  })

  it('and where more records came than one head stands for; not where they were only told late', async () => {
    const log = await open()
    await login(log)
    await log.close()
    const unsigned = await open(false)
    await Promise.all(
      Array.from({length: 900}, (_, i) => unsigned.emit({event: 'user.login', time: time - i * 1000})),
    )
    expect(await verify()).toMatchObject({ok: true, signed: {gaps: []}})
    await Promise.all(Array.from({length: 101}, () => login(unsigned)))
    expect(await verify()).toMatchObject({ok: true, signed: {gaps: [{from: 3, to: 1003}]}})
  })

  it('nothing in a log from before heads were signed, but that there are none', async () => {
    const log = await open(false)
    for (let minute = 0; minute < 5; minute += 1) {
      await login(log)
      time += MINUTE
    }
    expect(await verify()).toMatchObject({ok: true, vouched: 0, signed: {heads: 0, gaps: []}})
  })
})

describe('a log that is not the one that was left', () => {
  let last: ChainHead | undefined
  const remembering = () => open({last, onSigned: head => (last = head)})

  beforeEach(async () => {
    last = undefined
    const log = await remembering()
    for (let record = 0; record < 4; record += 1) {
      await login(log)
      time += MINUTE
    }
    await log.close()
  })
  const file = () => join(directory, readdirSync(directory).sort()[0] ?? '')

  it('is opened without a word where it is that one', async () => {
    await (await remembering()).close()
    expect(events()).not.toContain('audit.altered')
    expect(await verify()).toMatchObject({ok: true})
  })

  it.each([
    ['rolled back', (text: string[]) => text.slice(0, 2)],
    ['gone', () => []],
  ])('is on record as altered where it is %s, once, before it is signed again', async (_, change) => {
    const {sequence} = last ?? {}
    const changed = change(lines())
    if (changed.length === 0) rmSync(file())
    else writeFileSync(file(), `${changed.join('\n')}\n`)
    for (let start = 0; start < 2; start += 1) await (await remembering()).close()
    expect(events().slice(changed.length)).toEqual(['audit.altered', 'audit.signed'])
    expect(await verify()).toMatchObject({
      ...{ok: false, bad: {record: sequence, reason: expect.stringContaining('rewritten or rolled back')}},
    })
  })

  it('is found, too, where all of it was hashed again without its heads', async () => {
    const forged = await (async () => {
      const [original, other] = [directory, temporaryDirectory()]
      directory = other
      const log = await open(false)
      for (let record = 0; record < 20; record += 1) await login(log)
      await log.close()
      const text = readFileSync(file())
      directory = original
      return text
    })()
    writeFileSync(file(), forged)
    await (await remembering()).close()
    expect(await verify()).toMatchObject({ok: false, bad: {record: 8}})
  })
})
