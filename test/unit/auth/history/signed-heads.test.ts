import {join} from 'node:path'
import {describe, expect, it} from 'vitest'
import {openAuditLog} from '../../../../src/lib/audit/index.js'
import {openSignedHeads} from '../../../../src/lib/auth/history/signed-heads.js'
import {openSqliteBackend} from '../../../../src/lib/backend/index.js'
import {problem} from '../../../../src/lib/errors/index.js'
import {atEnd} from '../../../support/cleanup.js'
import {temporaryDirectory} from '../../../support/temporary-directory.js'

const sign = (): string => 'AAAA'

async function openBackend() {
  const backend = await openSqliteBackend({path: join(temporaryDirectory(), 'state.db')})
  atEnd(backend.close)
  return backend
}

describe('the last signed head of the audit log', () => {
  it('is known at the next start', async () => {
    const backend = await openBackend()
    const log = {warn: () => expect.unreachable()}
    const heads = await openSignedHeads({backend, sign, log})
    expect(heads.signing.last).toBeUndefined()
    const audit = await openAuditLog({directory: temporaryDirectory(), clusterName: 'c1', ...heads})
    await audit.emit({event: 'user.create'})
    await audit.close()
    await heads.close()
    expect((await openSignedHeads({backend, sign, log})).signing.last).toMatchObject(audit.head())
  })

  it('is the newest of many that come while one is noted', async () => {
    const backend = await openBackend()
    const heads = await openSignedHeads({backend, sign, log: {warn: () => expect.unreachable()}})
    for (let sequence = 1; sequence <= 50; sequence += 1)
      heads.signing.onSigned?.({sequence, hash: String(sequence).padStart(64, '0')})
    await heads.close()
    const {last} = (await openSignedHeads({backend, sign, log: {warn: () => undefined}})).signing
    expect(last?.sequence).toBe(50)
  })

  it('stops nobody where it cannot be noted, and is in the journal', async () => {
    const backend = {...(await openBackend()), put: () => Promise.reject(problem('store_failed', 'no room'))}
    const words: object[] = []
    const heads = await openSignedHeads({backend, sign, log: {warn: (...said) => words.push(said)}})
    heads.signing.onSigned?.({sequence: 1, hash: '0'.repeat(64)})
    await heads.close()
    expect(words).toEqual([
      [{error: expect.stringContaining('no room')}, expect.stringContaining('not noted')],
    ])
  })
})
