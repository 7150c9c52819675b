import {once} from 'node:events'
import {mkdirSync, statSync, symlinkSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {fileURLToPath} from 'node:url'
import Database from 'libsql'
import {describe, expect, test} from 'vitest'
import {openSqliteBackend} from '../../../src/lib/backend/index.js'
import {type PipedProcess, start, terminate} from '../../support/process.js'
import {temporaryDirectory} from '../../support/temporary-directory.js'
import {describeBackend} from './conformance.js'

const newPath = (): string => join(temporaryDirectory(), 'data', 'state.db')

describeBackend('SQLite', clock => openSqliteBackend({path: newPath(), now: () => clock.now}))

const holder = fileURLToPath(new URL('hold.ts', import.meta.url))

/** Another process that opens the state; resolves with what it says first. */
async function holdElsewhere(path: string, ...mode: string[]): Promise<{child: PipedProcess; said: string}> {
  const child = start(process.execPath, ['--import', 'tsx', holder, path, ...mode])
  const [line] = (await once(child.stdout, 'data')) as [Buffer]
  return {child, said: line.toString().split('\n')[0] ?? ''}
}

const inMode = (path: string): string => (statSync(path).mode & 0o777).toString(8)

describe('the state file', () => {
  test('is readable by its owner alone, its directory and its log too', async () => {
    const path = newPath()
    const backend = await openSqliteBackend({path})
    await backend.put('a', Buffer.from('1'))
    expect([inMode(path), inMode(join(path, '..')), inMode(`${path}-wal`)]).toEqual(['600', '700', '600'])
    await backend.close()
  })

  test('left readable for others is closed to them', async () => {
    const path = newPath()
    mkdirSync(join(path, '..'), {mode: 0o700})
    writeFileSync(path, '', {mode: 0o644})
    await (await openSqliteBackend({path})).close()
    expect(inMode(path)).toBe('600')
  })

  test('keeps what was written, and goes on with its revisions', async () => {
    const path = newPath()
    const first = await openSqliteBackend({path})
    const revision = await first.put('a', Buffer.from('1'))
    await first.close()
    const second = await openSqliteBackend({path})
    expect(await second.get('a')).toEqual({key: 'a', value: Buffer.from('1'), revision})
    expect(await second.put('a', Buffer.from('2'))).toBeGreaterThan(revision)
    await second.close()
  })

  test('of a newer version is refused and left alone', async () => {
    const path = newPath()
    await (await openSqliteBackend({path})).close()
    const database = new Database(path)
    database.exec('PRAGMA user_version = 99')
    database.close()
    await expect(openSqliteBackend({path})).rejects.toMatchObject({
      code: 'store_failed',
      message: expect.stringContaining('newer version (schema 99'),
    })
    const after = new Database(path)
    expect(after.prepare('PRAGMA user_version').all()).toEqual([{user_version: 99}])
    after.close()
  })

  test('of another program is refused and left alone', async () => {
    const path = newPath()
    mkdirSync(join(path, '..'), {mode: 0o700})
    const database = new Database(path)
    database.exec('PRAGMA application_id = 1; CREATE TABLE precious (id)')
    database.close()
    await expect(openSqliteBackend({path})).rejects.toMatchObject({code: 'store_failed'})
  })

  test('that is damaged or no file is refused without its path', async () => {
    const path = newPath()
    mkdirSync(join(path, '..'), {mode: 0o700})
    writeFileSync(path, 'this is not a database, not at all. '.repeat(200))
    const damaged = await openSqliteBackend({path}).catch(error => error)
    expect(damaged).toMatchObject({code: 'store_failed', message: expect.stringContaining('damaged')})
    expect(damaged.message).not.toContain(path)

    const linked = newPath()
    mkdirSync(join(linked, '..'), {mode: 0o700})
    symlinkSync(path, linked)
    await expect(openSqliteBackend({path: linked})).rejects.toMatchObject({code: 'store_failed'})
  })
})

describe('the lock', () => {
  test('refuses a second opening in the same process, and the first keeps it', async () => {
    const path = newPath()
    const first = await openSqliteBackend({path})
    await expect(openSqliteBackend({path})).rejects.toMatchObject({code: 'already_running'})
    const {said} = await holdElsewhere(path)
    expect(said).toBe('already_running')
    await first.put('a', Buffer.from('1'))
    await first.close()
  })

  test('goes to one of several processes that start at once', async () => {
    const path = newPath()
    const all = await Promise.all(Array.from({length: 4}, () => holdElsewhere(path)))
    expect(all.map(({said}) => said).sort()).toEqual([
      'already_running',
      'already_running',
      'already_running',
      'open',
    ])
    await Promise.all(all.map(({child}) => terminate(child)))
  })

  test('is free after closing', async () => {
    const path = newPath()
    const first = await openSqliteBackend({path})
    await first.range('')
    await first.close()
    const {child, said} = await holdElsewhere(path)
    expect(said).toBe('open')
    await terminate(child)
  })

  test('keeps a second process out, says why, and is free when the first is killed', async () => {
    const path = newPath()
    const {child, said} = await holdElsewhere(path)
    expect(said).toBe('open')
    await expect(openSqliteBackend({path})).rejects.toMatchObject({
      code: 'already_running',
      message: 'another auth service is using this data directory',
    })
    child.kill('SIGKILL')
    await once(child, 'exit')
    const backend = await openSqliteBackend({path})
    expect((await backend.get('held'))?.value.toString()).toBe(String(child.pid))
    await backend.close()
  })
})

test('a process killed while it writes leaves every acknowledged write, and none by half', async () => {
  const path = newPath()
  for (let round = 0; round < 3; round++) {
    const {child} = await holdElsewhere(path, 'endless')
    let output = ''
    await new Promise<void>(resolve => {
      child.stdout.on('data', (chunk: Buffer) => {
        output += chunk.toString()
        if (output.length > 500 * (round + 1)) resolve()
      })
    })
    child.kill('SIGKILL')
    await once(child, 'close')
    const acknowledged = Number(
      output
        .trimEnd()
        .split('\n')
        .at(output.endsWith('\n') ? -1 : -2),
    )
    const backend = await openSqliteBackend({path})
    const [left, right] = [await backend.get('left'), await backend.get('right')]
    expect(left?.value).toEqual(right?.value)
    expect(Number(left?.value.toString())).toBeGreaterThanOrEqual(acknowledged)
    await backend.close()
  }
})
