import type Database from 'libsql'
import {problem} from '../errors/index.js'
import {checkKey, checkPrefix, checkWrites, maxRange} from './bounds.js'
import {openStateFile, storeProblem} from './sqlite-file.js'
import type {Backend, BackendEvent, Item, RangeOptions, Write} from './types.js'
import {createWatchers} from './watchers.js'

export interface SqliteOptions {
  /** Its directory is made 0700, the file itself 0600. */
  path: string
  /** Unix ms. */
  now?: () => number
}

interface Row {
  key: string
  /** libsql gives BLOBs as ArrayBuffer. */
  value: ArrayBuffer
  revision: number
  expires: number | null
}

/** Expired items cleared away with one write: the work is spread, and a write stays short. */
const purgeBatch = 16

/**
 * State in one SQLite file, held by this process alone until `close`.
 * @throws already_running when another process has it, store_failed
 */
export async function openSqliteBackend({path, now = Date.now}: SqliteOptions): Promise<Backend> {
  const {database, close} = await openStateFile(path)
  const statements = prepare(database)
  const watchers = createWatchers()
  let open = true

  const guarded = <T>(what: string, work: () => T): T => {
    if (!open) throw problem('unavailable', 'the auth service is shutting down')
    try {
      return work()
    } catch (error) {
      throw storeProblem(error, what)
    }
  }

  const read = (key: string): Item | undefined => statements.get(key, now())

  const holds = (write: Write): boolean => {
    switch (write.type) {
      case 'put':
        return true
      case 'create':
        return read(write.key) === undefined
      case 'cas':
        return read(write.key)?.revision === write.revision
      case 'delete':
        return write.revision === undefined || read(write.key)?.revision === write.revision
    }
  }

  const apply = (writes: readonly Write[], onlyIf: () => boolean): number | undefined => {
    checkWrites(writes)
    const events: BackendEvent[] = []
    const revision = guarded('the state could not be written', () =>
      inTransaction(database, () => {
        if (!onlyIf() || !writes.every(holds)) return undefined
        const next = statements.advance()
        for (const key of statements.purge(now(), purgeBatch))
          if (!writes.some(write => write.key === key)) events.push({type: 'delete', key, revision: next})
        for (const write of writes) events.push(statements.write(write, next))
        return next
      }),
    )
    if (revision !== undefined) watchers.announce(events)
    return revision
  }

  const always = () => true
  const one = (write: Write): number | undefined => apply([write], always)

  return {
    create: async (key, value, lifetime) => one({type: 'create', key, value, ...lifetime}),
    async put(key, value, lifetime) {
      const revision = one({type: 'put', key, value, ...lifetime})
      if (revision === undefined) throw problem('internal', 'an unconditional write was refused')
      return revision
    },
    cas: async (key, revision, value, lifetime) => one({type: 'cas', key, revision, value, ...lifetime}),
    async get(key) {
      checkKey(key)
      return guarded('the state could not be read', () => read(key))
    },
    async range(prefix, options = {}) {
      checkPrefix(prefix)
      return guarded('the state could not be read', () => statements.range(prefix, now(), options))
    },
    delete: async key => apply([{type: 'delete', key}], () => read(key) !== undefined) !== undefined,
    transaction: async writes => apply(writes, always),
    watch: (prefix, listener) => watchers.add(prefix, listener),
    async close() {
      if (!open) return
      open = false
      try {
        close()
      } catch (error) {
        throw storeProblem(error, 'the state could not be closed')
      }
    },
  }
}

function inTransaction<T>(database: Database.Database, work: () => T): T {
  database.exec('BEGIN IMMEDIATE')
  try {
    const result = work()
    database.exec('COMMIT')
    return result
  } catch (error) {
    // A full disk makes SQLite roll back by itself.
    if (database.inTransaction) database.exec('ROLLBACK')
    throw error
  }
}

/** Statements as functions. Rows are read with `all`: libsql's `get` adds a column of its own. */
function prepare(database: Database.Database) {
  const columns = 'key, value, revision, expires'
  const alive = '(expires IS NULL OR expires > ?)'
  const get = database.prepare(`SELECT ${columns} FROM items WHERE key = ? AND ${alive}`)
  const range = database.prepare(
    `SELECT ${columns} FROM items WHERE key >= ? AND key < ? AND key > ? AND ${alive} ORDER BY key LIMIT ?`,
  )
  const advance = database.prepare('UPDATE clock SET revision = revision + 1 RETURNING revision')
  const put = database.prepare(`INSERT OR REPLACE INTO items (${columns}) VALUES (?, ?, ?, ?)`)
  const remove = database.prepare('DELETE FROM items WHERE key = ?')
  const purge = database.prepare(
    'DELETE FROM items WHERE key IN (SELECT key FROM items WHERE expires <= ? LIMIT ?) RETURNING key',
  )
  return {
    get: (key: string, now: number): Item | undefined => (get.all(key, now) as Row[]).map(toItem)[0],
    range(prefix: string, now: number, {limit = maxRange, after = ''}: RangeOptions): Item[] {
      const most = Math.max(0, Math.min(Math.trunc(limit), maxRange))
      // Keys are below DEL, so this is the first text after every key with the prefix.
      const rows = range.all(prefix, `${prefix}\u007f`, after, now, most) as Row[]
      return rows.map(toItem)
    },
    advance(): number {
      const [row] = advance.all() as {revision: number}[]
      if (!row) throw problem('store_failed', 'the state file is damaged: it has no revision')
      return row.revision
    },
    purge: (now: number, most: number): string[] =>
      (purge.all(now, most) as {key: string}[]).map(({key}) => key),
    write(write: Write, revision: number): BackendEvent {
      const {key} = write
      if (write.type === 'delete') {
        remove.run(key)
        return {type: 'delete', key, revision}
      }
      put.run(key, write.value, revision, write.expires ?? null)
      return {type: 'put', key, value: write.value, revision}
    },
  }
}

const toItem = ({key, value, revision, expires}: Row): Item => ({
  key,
  value: Buffer.from(value),
  revision,
  ...(expires === null ? {} : {expires}),
})
