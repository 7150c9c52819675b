import {describe, expect, test} from 'vitest'
import type {Backend} from '../../../src/lib/backend/index.js'
import {createSerials} from '../../../src/lib/pki/index.js'
import {now, openBackend} from './fixture.js'

const take = async (backend: Backend, time: () => number, count = 50): Promise<bigint[]> => {
  const serials = createSerials(backend, time)
  return Promise.all(Array.from({length: count}, () => serials.next()))
}
const expectGrowing = (serials: readonly bigint[]): void => {
  serials.forEach((serial, index) => {
    if (index > 0) expect(serial).toBeGreaterThan(serials[index - 1] as bigint)
  })
}

describe('serial numbers', () => {
  test('grow within one millisecond, and while the clock goes back', async () => {
    let time = now
    const serials = await take(await openBackend(), () => (time -= 1000), 200)
    expectGrowing(serials)
    expect(serials.every(serial => serial > 0n && serial < 2n ** 64n)).toBe(true)
  })

  test('go on above the last ones after a restart with the clock set back a day', async () => {
    const backend = await openBackend()
    const before = await take(backend, () => now)
    const after = await take(backend, () => now - 24 * 3600 * 1000)
    expectGrowing([...before, ...after])
  })

  test('do not repeat when a backup older than all of them is restored', async () => {
    const [backend, restored] = [await openBackend(), await openBackend()]
    await take(backend, () => now - 3600_000, 1)
    for (const {key, value} of await backend.range('')) await restored.put(key, value)
    const before = await take(backend, () => now)
    expectGrowing([...before, ...(await take(restored, () => now + 1000))])
  })

  test('do not repeat when a backup is restored within the minute that was reserved', async () => {
    const [backend, restored] = [await openBackend(), await openBackend()]
    await take(backend, () => now)
    for (const {key, value} of await backend.range('')) await restored.put(key, value)
    // Both begin above the same mark, at the same time.
    const both = [...(await take(backend, () => now)), ...(await take(restored, () => now))]
    expect(new Set(both).size).toBe(both.length)
  })

  test('are each given out once by two services over one state', async () => {
    const backend = await openBackend()
    const both = (await Promise.all([take(backend, () => now), take(backend, () => now)])).flat()
    expect(new Set(both).size).toBe(both.length)
  })

  test('cost one write a minute and no more', async () => {
    const backend = await openBackend()
    let writes = 0
    backend.watch('', () => writes++)
    await take(backend, () => now, 100)
    expect(writes).toBe(1)
  })

  test('are not begun anew when their mark cannot be read', async () => {
    const backend = await openBackend()
    await backend.put('authorities/serials', Buffer.from('damage'))
    await expect(take(backend, () => now)).rejects.toMatchObject({code: 'store_failed'})
  })

  test('are refused by a clock that they cannot hold', async () => {
    await expect(take(await openBackend(), () => Date.UTC(2110, 0))).rejects.toMatchObject({
      code: 'clock_skew',
    })
  })
})
