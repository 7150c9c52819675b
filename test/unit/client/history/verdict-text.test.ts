import {expect, test} from 'vitest'
import {sessionWords, storeFault, storeWords} from '../../../../src/lib/client/history/verdict-text.js'
import type {StoreFilesVerdict} from '../../../../src/lib/evidence/index.js'

type Audit = StoreFilesVerdict['audit']

const head = {sequence: 7, hash: 'ab'.repeat(32)}
const log = (more: Partial<Extract<Audit, {ok: true}>> = {}): Audit => ({
  ...{ok: true, records: 7, head, checkpoint: 'none', vouched: 7},
  signed: {...{heads: 2, through: 7, time: '2026-01-02T00:00:00Z'}, signature: 'verified', gaps: []},
  ...more,
})
const store = (audit: Audit): StoreFilesVerdict => ({
  ...{verified: 1, truncated: 0, unvouched: 0, removed: 0, open: 0, held: 0, removing: 0, bad: []},
  audit,
})
const pruned = {sequence: 3, hash: 'cd'.repeat(32), time: '2026-01-01T00:00:00Z'}

test.each([
  [
    'nobody checked who pruned the log',
    log({pruned: {...pruned, signature: 'unchecked'}}),
    /pruned was not checked: name the key/,
  ],
  [
    'nobody checked who signed the checkpoint',
    log({checkpoint: 'found', signature: 'unchecked'}),
    /checkpoint was not checked: name the key/,
  ],
  [
    'nobody signed the checkpoint',
    log({checkpoint: 'found', signature: 'absent'}),
    /Nobody signed the checkpoint/,
  ],
  [
    'the record of the checkpoint was pruned',
    log({checkpoint: 'pruned'}),
    /that the checkpoint names was pruned/,
  ],
])('it is said that %s, of a store and of a session', (_, audit, words) => {
  expect(storeWords(store(audit))).toMatch(words)
  const one = {result: 'verified' as const, sid: 's', chunks: 2, head: 'x', vouched: true, audit}
  expect(sessionWords(one, 'copied session')).toMatch(words)
})

test('what is signed is not doubted', () => {
  const audit = log({checkpoint: 'found', signature: 'verified', pruned: {...pruned, signature: 'verified'}})
  expect(storeWords(store(audit))).not.toMatch(/--key|Nobody/)
})

test('where nothing stands behind the log it is said, and how much cannot be seen then', () => {
  const words = storeWords(
    store(log({vouched: 0, signed: {heads: 0, through: 0, signature: 'verified', gaps: []}})),
  )
  expect(words).toMatch(/no signed heads in it/)
  expect(words).toMatch(/of it and of the store alike, wherever they stood, cannot be seen/)
  const sound = storeWords(store(log()))
  expect(sound).toMatch(/Its signed heads are signed by this cluster: 2, the last of them record 7/)
  expect(sound).toMatch(/from behind record 7 of the log .* cannot be seen/)
})

test('a bad log outweighs every recording that agrees with it', () => {
  const audit: Audit = {ok: false, bad: {record: 4, reason: 'it was changed'}}
  expect(storeFault(store(audit))).toMatchObject({code: 'audit_corrupt', exitCode: 41})
})
