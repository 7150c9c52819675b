import fc from 'fast-check'
import {afterEach, beforeEach, describe, expect, test} from 'vitest'
import type {Backend, BackendEvent} from '../../../src/lib/backend/index.js'

export interface Clock {
  /** Unix ms. */
  now: number
}

const bytes = (text: string): Buffer => Buffer.from(text)

/** What every backend must do. `open` gives an empty one whose time is that of the clock. */
export function describeBackend(name: string, open: (clock: Clock) => Promise<Backend>): void {
  describe(`${name} as a backend`, () => {
    const clock: Clock = {now: 0}
    let backend: Backend

    beforeEach(async () => {
      clock.now = 1_700_000_000_000
      backend = await open(clock)
    })
    afterEach(() => backend.close())

    test('gives back the bytes it was given', async () => {
      const value = Buffer.from([0, 255, 10, 0])
      const revision = await backend.put('a/b', value)
      expect(await backend.get('a/b')).toEqual({key: 'a/b', value, revision})
      await backend.put('empty', Buffer.alloc(0))
      expect((await backend.get('empty'))?.value).toEqual(Buffer.alloc(0))
    })

    test('knows nothing of an item that was never written', async () => {
      expect(await backend.get('a')).toBeUndefined()
      expect(await backend.range('')).toEqual([])
      expect(await backend.delete('a')).toBe(false)
    })

    test('creates an item only once', async () => {
      expect(await backend.create('a', bytes('1'))).toBeTypeOf('number')
      expect(await backend.create('a', bytes('2'))).toBeUndefined()
      expect((await backend.get('a'))?.value).toEqual(bytes('1'))
    })

    test('lets exactly one of a hundred creators win', async () => {
      const won = await Promise.all(
        Array.from({length: 100}, (_, index) => backend.create('a', bytes(`${index}`))),
      )
      expect(won.filter(revision => revision !== undefined)).toHaveLength(1)
    })

    test('gives every write a greater revision', async () => {
      const revisions = [await backend.put('a', bytes('')), await backend.put('b', bytes(''))]
      await backend.delete('a')
      revisions.push(await backend.put('a', bytes('')))
      expect(revisions).toEqual([...new Set(revisions)].sort((a, b) => a - b))
    })

    test('replaces an item by revision, and not one that changed', async () => {
      const first = await backend.put('a', bytes('1'))
      const second = await backend.cas('a', first, bytes('2'))
      expect(second).toBeGreaterThan(first)
      expect(await backend.cas('a', first, bytes('3'))).toBeUndefined()
      expect(await backend.cas('missing', first, bytes('3'))).toBeUndefined()
      expect((await backend.get('a'))?.value).toEqual(bytes('2'))
    })

    test('counts right when many increment at once by revision', async () => {
      await backend.put('counter', bytes('0'))
      const increment = async (): Promise<void> => {
        for (;;) {
          const item = await backend.get('counter')
          if (!item) throw new Error('the counter is gone')
          const next = bytes(String(Number(item.value.toString()) + 1))
          if ((await backend.cas('counter', item.revision, next)) !== undefined) return
        }
      }
      await Promise.all(Array.from({length: 50}, increment))
      expect((await backend.get('counter'))?.value).toEqual(bytes('50'))
    })

    test('an item ends at its time: for get, range, create, cas and delete', async () => {
      const revision = await backend.put('a', bytes('1'), {expires: clock.now + 10})
      clock.now += 9
      expect(await backend.get('a')).toMatchObject({revision, expires: clock.now + 1})
      clock.now += 1
      expect(await backend.get('a')).toBeUndefined()
      expect(await backend.range('a')).toEqual([])
      expect(await backend.cas('a', revision, bytes('2'))).toBeUndefined()
      expect(await backend.delete('a')).toBe(false)
      expect(await backend.create('a', bytes('3'))).toBeTypeOf('number')
      expect((await backend.get('a'))?.expires).toBeUndefined()
    })

    test('clears expired items away as others are written, and says so', async () => {
      const events: BackendEvent[] = []
      await backend.put('old', bytes(''), {expires: clock.now + 1})
      clock.now += 1
      backend.watch('old', event => events.push(event))
      await backend.put('new', bytes(''))
      expect(events).toMatchObject([{type: 'delete', key: 'old'}])
    })

    test('ranges over a prefix in key order, in pages', async () => {
      for (const key of ['a/2', 'a/1', 'a/10', 'ab', 'b/1', 'a']) await backend.put(key, bytes(key))
      expect((await backend.range('a/')).map(({key}) => key)).toEqual(['a/1', 'a/10', 'a/2'])
      expect((await backend.range('a/', {limit: 2})).map(({key}) => key)).toEqual(['a/1', 'a/10'])
      expect((await backend.range('a/', {limit: 2, after: 'a/10'})).map(({key}) => key)).toEqual(['a/2'])
      expect(await backend.range('')).toHaveLength(6)
    })

    test('a transaction does all or nothing', async () => {
      const revision = await backend.put('user', bytes('1'))
      await backend.put('invite', bytes(''))
      const stale = await backend.transaction([
        {type: 'delete', key: 'invite'},
        {type: 'create', key: 'new', value: bytes('')},
        {type: 'cas', key: 'user', revision: revision + 1000, value: bytes('2')},
      ])
      expect(stale).toBeUndefined()
      expect((await backend.range('')).map(({key}) => key)).toEqual(['invite', 'user'])
      const done = await backend.transaction([
        {type: 'delete', key: 'invite'},
        {type: 'cas', key: 'user', revision, value: bytes('2')},
      ])
      expect(await backend.range('')).toEqual([{key: 'user', value: bytes('2'), revision: done}])
    })

    test('a transaction may demand the revision of what it deletes', async () => {
      const revision = await backend.put('a', bytes('1'))
      await backend.put('a', bytes('2'))
      expect(await backend.transaction([{type: 'delete', key: 'a', revision}])).toBeUndefined()
      expect(await backend.get('a')).toBeDefined()
    })

    test('a watcher hears of its prefix in order, until it stops', async () => {
      const events: BackendEvent[] = []
      const stop = backend.watch('a/', event => events.push(event))
      await backend.put('a/1', bytes('x'))
      await backend.put('b/1', bytes('x'))
      await backend.create('a/1', bytes('lost'))
      await backend.delete('a/1')
      stop()
      await backend.put('a/2', bytes('x'))
      expect(events).toMatchObject([
        {type: 'put', key: 'a/1', value: bytes('x')},
        {type: 'delete', key: 'a/1'},
      ])
      expect(events[1]?.revision).toBeGreaterThan(events[0]?.revision ?? Number.NaN)
    })

    test('refuses keys that databases could read in two ways, and values out of bounds', async () => {
      const keys = ['', 'a\0b', 'a b', 'ä', '/a', 'a\n', 'a%', 'a'.repeat(513), '__proto__'.slice(0, 1)]
      for (const key of keys) {
        await expect(backend.put(key, bytes('')), key).rejects.toMatchObject({code: 'invalid_input'})
        await expect(backend.get(key), key).rejects.toMatchObject({code: 'invalid_input'})
      }
      await expect(backend.put('a', Buffer.alloc(1024 * 1024 + 1))).rejects.toMatchObject({
        code: 'invalid_input',
      })
      await expect(backend.transaction([])).rejects.toMatchObject({code: 'invalid_input'})
      const twice = [{type: 'delete', key: 'a'} as const, {type: 'delete', key: 'a'} as const]
      await expect(backend.transaction(twice)).rejects.toMatchObject({code: 'invalid_input'})
    })

    test('refuses work after it is closed', async () => {
      await backend.close()
      await expect(backend.get('a')).rejects.toMatchObject({code: 'unavailable'})
      await expect(backend.put('a', bytes(''))).rejects.toMatchObject({code: 'unavailable'})
      await backend.close()
    })

    test('agrees with a plain map over any sequence of writes', async () => {
      const key = fc.constantFrom('a', 'b', 'c')
      const step = fc.oneof(
        fc.record({type: fc.constantFrom('create', 'put', 'cas', 'stale', 'delete'), key, text: fc.string()}),
      )
      await fc.assert(
        fc.asyncProperty(fc.array(step, {maxLength: 20}), async steps => {
          const model = new Map<string, string>()
          for (const {key} of await backend.range('')) await backend.delete(key)
          for (const {type, key, text} of steps) {
            const value = bytes(text)
            const known = model.has(key)
            const revision = (await backend.get(key))?.revision ?? 0
            const result = await {
              create: () => backend.create(key, value),
              put: () => backend.put(key, value),
              cas: () => backend.cas(key, revision, value),
              stale: () => backend.cas(key, revision - 1, value),
              delete: () => backend.delete(key),
            }[type as 'put']()
            const done = {create: !known, put: true, cas: known, stale: false, delete: known}[type]
            expect(result !== undefined && (result as unknown) !== false, type).toBe(done)
            if (done && type === 'delete') model.delete(key)
            else if (done) model.set(key, text)
          }
          const kept = (await backend.range('')).map(({key, value}) => [key, value.toString()])
          expect(kept).toEqual([...model].map(([k, v]) => [k, bytes(v).toString()]).sort())
        }),
        {numRuns: 30},
      )
    })
  })
}
