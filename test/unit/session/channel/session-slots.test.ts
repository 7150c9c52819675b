import {beforeEach, describe, expect, it} from 'vitest'
import type {AuditInput} from '../../../../src/lib/audit/event.js'
import {problem, type SallyportError} from '../../../../src/lib/errors/index.js'
import {createSessionSlots, type SessionSlots} from '../../../../src/lib/session/channel/session-slots.js'
import {type ChannelOpen, openFailure} from '../../../../src/lib/ssh/index.js'

interface FakeSession {
  end(error: SallyportError): void
  done(): void
}

const locked = problem('access_denied', 'locked')

let events: AuditInput[]
let refused: [reason: number, description: string][]
let told: string[]
let begun: FakeSession[]
let slots: SessionSlots<FakeSession>

const slotsFor = (maxSessions: number) =>
  createSessionSlots<FakeSession>({
    maxSessions,
    async emit(input) {
      expect(refused).toHaveLength(events.length)
      events.push(input)
    },
  })

beforeEach(() => {
  ;[events, refused, told, begun] = [[], [], [], []]
  slots = slotsFor(2)
})

const request = () =>
  ({reject: (reason, description) => void refused.push([reason, description])}) as ChannelOpen
/** One whose sessions say when they are done. */
const open = (): Promise<void> =>
  slots.open(request(), () =>
    slots.run(done => {
      const session = {done, end: ({message}: SallyportError) => void told.push(message)}
      begun.push(session)
      return session
    }),
  )

describe('how many sessions a connection has', () => {
  it('one over the limit is refused once that is on record, and has its place when another is over', async () => {
    const [first] = [open(), open()]
    await open()
    expect(events).toMatchObject([{event: 'session.rejected', success: false}])
    expect(refused).toEqual([[openFailure.connectFailed, expect.stringContaining('2 sessions')]])
    begun[0]?.done()
    await first
    void open()
    expect(begun).toHaveLength(3)
  })

  it('one that is only being opened counts, also where nothing comes of it', async () => {
    slots = slotsFor(1)
    let fail = (_: Error): void => undefined
    const opening = slots.open(
      request(),
      () =>
        new Promise((_, reject) => {
          fail = reject
        }),
    )
    await open()
    expect([refused.length, begun.length]).toEqual([1, 0])
    fail(new Error('the host does not answer'))
    await expect(opening).rejects.toThrow('does not answer')
    void open()
    expect(begun).toHaveLength(1)
  })

  it('0 is no limit', () => {
    slots = slotsFor(0)
    for (let i = 0; i < 100; i++) void open()
    expect(begun).toHaveLength(100)
  })
})

describe('when the connection ends', () => {
  it('all that run are told, once each, those that begin at that moment too, and no other one begins', async () => {
    let goOn = (): void => undefined
    const late = slots.open(request(), async () => {
      await new Promise<void>(resolve => {
        goOn = resolve
      })
      await slots.run(done => ({
        done,
        end({message}) {
          told.push(`late: ${message}`)
          done()
        },
      }))
    })
    const running = open()
    slots.end(locked)
    expect(told).toEqual(['locked'])
    goOn()
    await late
    expect(told).toEqual(['locked', 'late: locked'])
    await open()
    expect([begun.length, refused.length]).toEqual([1, 1])
    let isIdle = false
    const idle = slots.idle().then(() => {
      isIdle = true
    })
    await Promise.resolve()
    expect(isIdle).toBe(false)
    begun[0]?.done()
    await Promise.all([running, idle])
  })

  it('they may be told in another way', () => {
    void open()
    slots.endBy(problem('target_refused', 'gone'), () => void told.push('the host is gone'))
    expect(told).toEqual(['the host is gone'])
  })
})

it('a client that promised to open no more is held to it', async () => {
  const running = open()
  slots.allowNoMore()
  await open()
  expect(refused).toEqual([[openFailure.administrativelyProhibited, 'no more sessions']])
  expect(told).toEqual([])
  begun[0]?.done()
  await running
})
