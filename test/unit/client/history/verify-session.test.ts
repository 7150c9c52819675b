import {randomUUID} from 'node:crypto'
import {beforeAll, describe, expect, it} from 'vitest'
import {openAuditLog} from '../../../../src/lib/audit/index.js'
import {sessionWords} from '../../../../src/lib/client/history/verdict-text.js'
import {verifySession} from '../../../../src/lib/client/history/verify-session.js'
import {problem} from '../../../../src/lib/errors/index.js'
import {type Evidence, makeEvidence, openEvidenceStore} from '../../../support/evidence.js'

const sids = Array.from({length: 6}, () => randomUUID())
let evidence: Evidence

beforeAll(async () => {
  evidence = await makeEvidence(sids)
})

/** Asks a service whose log has all of it, or shows the caller none of it. */
async function verify(sid: string, seesLog: boolean) {
  const store = await openEvidenceStore(evidence.directory, evidence.keys)
  const log = await openAuditLog({directory: `${evidence.copy().directory}/audit`, clusterName: 'c1'})
  try {
    return await verifySession(
      {
        openRecording: id => store.open(id),
        listEvents: async query => (seesLog ? await log.query(query) : []),
        async getTombstone(id) {
          const found = await store.tombstone(id)
          if (!found) throw problem('not_found', 'there is none')
          return found.text
        },
      },
      sid,
      [evidence.keys.publicKey],
    )
  } finally {
    await log.close()
    await store.close()
  }
}

const alone =
  'The audit log, as far as you may see it, does not say how long it was: only its own signature speaks for it.'

describe('what speaks for a recording', () => {
  it('is its signature and the log, where the caller sees the log', async () => {
    const [a = ''] = evidence.sealed
    const verdict = await verify(a, true)
    expect(verdict).toMatchObject({result: 'verified', vouched: true})
    expect(sessionWords(verdict, 'session')).toBe(
      `The recording of session ${a} is what was recorded: 6 chunks, unbroken and signed.`,
    )
  })

  it('is its signature alone, where the caller may see nothing of the log, and that is said', async () => {
    const [a = ''] = evidence.sealed
    const verdict = await verify(a, false)
    expect(verdict).toMatchObject({result: 'verified', vouched: false})
    expect(sessionWords(verdict, 'session').split('\n').slice(1)).toEqual([alone])
  })

  it('is told of one that was removed, too', async () => {
    expect(await verify(evidence.removed, true)).toMatchObject({result: 'removed', vouched: true})
    const verdict = await verify(evidence.removed, false)
    expect(verdict).toMatchObject({result: 'removed', vouched: false})
    expect(sessionWords(verdict, 'session')).toContain(alone)
  })
})
