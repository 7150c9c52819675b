import {describe, expect, it, vi} from 'vitest'
import {requestQueue} from '../../../../src/lib/session/channel/request-queue.js'
import {settle} from '../../ssh/fixture.js'

const request = (n: number, {wantReply = false, size = 0} = {}) => ({
  type: `request-${n}`,
  data: Buffer.alloc(size),
  wantReply,
  reply: vi.fn(),
})

/** Promises that a test settles one by one. */
function gates() {
  const open: (() => void)[] = []
  return {
    open,
    wait: () => new Promise<void>(resolve => open.push(resolve)),
  }
}

describe('the requests of a session', () => {
  it('are handled one after the other, in order', async () => {
    const handled: string[] = []
    const {open, wait} = gates()
    const queue = requestQueue(
      async ({type}) => {
        handled.push(type)
        await wait()
      },
      {barrier: async () => undefined, onFlood: vi.fn()},
    )
    for (let n = 0; n < 3; n++) queue.push(request(n))
    expect(handled).toEqual(['request-0'])
    open.shift()?.()
    await settle()
    expect(handled).toEqual(['request-0', 'request-1'])
    open.shift()?.()
    await settle()
    expect(handled).toEqual(['request-0', 'request-1', 'request-2'])
  })

  it.each([
    ['too many', 0, 1100],
    ['too large', 30_000, 40],
  ])('end the session when %s wait', async (_name, size, count) => {
    const onFlood = vi.fn()
    const {open, wait} = gates()
    const handle = vi.fn(wait)
    const queue = requestQueue(handle, {barrier: async () => undefined, onFlood})
    const last = request(count, {size, wantReply: true})
    for (let n = 0; n < count; n++) queue.push(request(n, {size}))
    queue.push(last)
    expect(onFlood).toHaveBeenCalledExactlyOnceWith(expect.objectContaining({code: 'limit_exceeded'}))
    expect(last.reply).toHaveBeenCalledWith(false)
    open.shift()?.()
    await settle()
    expect(handle).toHaveBeenCalledOnce()
  })

  it('wait for the target now and then, when they want no reply', async () => {
    const {open, wait} = gates()
    const barrier = vi.fn(wait)
    const handle = vi.fn(async () => undefined)
    const queue = requestQueue(handle, {barrier, onFlood: vi.fn()})
    for (let n = 0; n < 200; n++) queue.push(request(n))
    await settle(300)
    expect(barrier).toHaveBeenCalledOnce()
    expect(handle).toHaveBeenCalledTimes(64)
    open.shift()?.()
    await settle(300)
    expect(handle).toHaveBeenCalledTimes(128)
  })

  it('do not wait for it when each has its own reply', async () => {
    const barrier = vi.fn(async () => undefined)
    const handle = vi.fn(async () => undefined)
    const queue = requestQueue(handle, {barrier, onFlood: vi.fn()})
    for (let n = 0; n < 200; n++) queue.push(request(n, {wantReply: true}))
    await settle(300)
    expect(handle).toHaveBeenCalledTimes(200)
    expect(barrier).not.toHaveBeenCalled()
  })
})
