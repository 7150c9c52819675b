import {beforeEach, describe, expect, it} from 'vitest'
import {createSessionGate, type SessionGate} from '../../../../src/lib/session/sharing/session-gate.js'

type Verdict = {met: true} | {met: false; missing: string; onLeave: 'terminate' | 'pause'}

const met: Verdict = {met: true}
const lacks = (onLeave: 'terminate' | 'pause'): Verdict => ({met: false, missing: 'a moderator', onLeave})

let verdict: Verdict
let said: string[]
let gate: SessionGate

beforeEach(() => {
  verdict = met
  said = []
  gate = createSessionGate({
    verdict: () => verdict,
    tellAll: line => void said.push(line),
    onTooFew: missing => void said.push(`ends without ${missing}`),
  })
})

const become = (next: Verdict): void => {
  verdict = next
  gate.review()
}
const opened = async (): Promise<boolean> =>
  Promise.race([gate.opened.then(() => true), new Promise<false>(done => setImmediate(done, false))])

describe('a session', () => {
  it('waits from its beginning until enough people look on, and nobody is told that it goes on', async () => {
    for (const onLeave of ['pause', 'terminate'] as const) {
      become(lacks(onLeave))
      expect([gate.state, gate.isClosed, gate.waitsFor(), await opened()]).toEqual([
        ...['pending', true, 'a moderator', false],
      ])
    }
    become(met)
    expect([gate.state, gate.isClosed, gate.waitsFor(), await opened()]).toEqual([
      ...['running', false, undefined, true],
    ])
    expect(said).toEqual([])
  })

  it('pauses when somebody leaves, once, and goes on when they are back', async () => {
    become(met)
    become(lacks('pause'))
    gate.review()
    expect([gate.state, gate.isClosed, await opened()]).toEqual(['running', true, false])
    become(met)
    expect([gate.isClosed, await opened()]).toEqual([false, true])
    expect(said).toEqual(['the session is paused until there is a moderator', 'the session goes on'])
  })

  it('ends when somebody leaves without whom it may not go on, and is not looked at again', () => {
    become(met)
    become(lacks('terminate'))
    become(met)
    become(lacks('pause'))
    expect([gate.state, gate.isOver(), gate.isRunning()]).toEqual(['terminated', true, false])
    expect(said).toEqual(['ends without a moderator'])
  })

  it('that is over lets go of who waits, and does not begin any more', async () => {
    become(lacks('pause'))
    gate.terminate()
    expect([gate.isOver(), await opened()]).toEqual([true, false])
    gate.release()
    become(met)
    expect([gate.state, await opened()]).toEqual(['terminated', true])
  })
})
