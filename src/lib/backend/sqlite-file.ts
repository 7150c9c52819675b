import {chmod, lstat, open} from 'node:fs/promises'
import {dirname} from 'node:path'
import Database from 'libsql'
import {ensurePrivateDirectory, ifMissing, syncDirectory} from '../durable/index.js'
import {problem, type SallyportError} from '../errors/index.js'

/** Marks the file as ours: `Spor`. */
const APPLICATION_ID = 0x53706f72

/** Each brings the schema from its index to the next version, in a transaction of its own. Never edit one that shipped. */
const migrations: readonly string[] = [
  `CREATE TABLE items (
     key TEXT PRIMARY KEY NOT NULL,
     value BLOB NOT NULL,
     revision INTEGER NOT NULL,
     expires INTEGER
   ) WITHOUT ROWID;
   CREATE INDEX items_by_expiry ON items (expires) WHERE expires IS NOT NULL;
   CREATE TABLE clock (id INTEGER PRIMARY KEY CHECK (id = 1), revision INTEGER NOT NULL);
   INSERT INTO clock VALUES (1, 0);
   PRAGMA application_id = ${APPLICATION_ID};`,
]

const schemaVersion = migrations.length

export interface StateFile {
  database: Database.Database
  close(): void
}

/**
 * Opens the state file for this process alone, creating it (0600, in a 0700 directory) and bringing its schema up to
 * date.
 * @throws already_running, store_failed
 */
export async function openStateFile(path: string): Promise<StateFile> {
  const unlock = await lockStateFile(path)
  let database: Database.Database | undefined
  try {
    await prepareFile(path)
    database = new Database(path, {timeout: 0})
    database.exec('PRAGMA journal_mode = WAL')
    database.exec('PRAGMA synchronous = FULL')
    requireSettings(database)
    migrate(database)
    return {database, close: closing(database, unlock)}
  } catch (error) {
    database?.close()
    unlock()
    throw openingProblem(error)
  }
}

/**
 * Takes a lock beside the state file that the kernel gives back when the process dies, however it dies. It has a file
 * of its own because libsql keeps a closed database open, and what it holds locked, until the last of its prepared
 * statements is collected; nothing is ever prepared on this one.
 *
 * The lock is a POSIX one: it is lost when anything else in this process opens and closes the file. Nothing may.
 */
async function lockStateFile(path: string): Promise<() => void> {
  const lock = `${path}.lock`
  await prepareFile(lock)
  let holder: Database.Database | undefined
  try {
    holder = new Database(lock, {timeout: 0})
    holder.exec('BEGIN EXCLUSIVE')
  } catch (error) {
    holder?.close()
    throw openingProblem(error)
  }
  const held = holder
  return () => {
    held.exec('ROLLBACK')
    held.close()
  }
}

const closing = (database: Database.Database, unlock: () => void) => (): void => {
  try {
    database.exec('PRAGMA wal_checkpoint(TRUNCATE)')
  } finally {
    database.close()
    unlock()
  }
}

async function prepareFile(path: string): Promise<void> {
  try {
    await ensurePrivateDirectory(dirname(path))
    const found = await lstat(path).catch(ifMissing(undefined))
    if (found === undefined) {
      // Never opened by us when this process may have it open already: closing it would give its lock away.
      await (await open(path, 'wx', 0o600)).close()
      await syncDirectory(dirname(path))
    } else if (!found.isFile()) {
      throw problem('store_failed', 'the state file is not a regular file', {
        hint: 'choose another --data-dir',
      })
    } else {
      await chmod(path, 0o600)
    }
  } catch (error) {
    throw openingProblem(error)
  }
}

/** Settings are refused in silence by SQLite, on a file system that cannot keep them for example. */
function requireSettings(database: Database.Database): void {
  const wanted = {journal_mode: 'wal', synchronous: 2}
  for (const [name, value] of Object.entries(wanted)) {
    if (readPragma(database, name) !== value)
      throw problem('store_failed', `the file system of the data directory does not allow ${name} ${value}`, {
        hint: 'put it on a local disk',
      })
  }
}

const readPragma = (database: Database.Database, name: string): unknown => {
  const [row] = database.prepare(`PRAGMA ${name}`).all() as Record<string, unknown>[]
  return row?.[name]
}

function migrate(database: Database.Database): void {
  const found = Number(readPragma(database, 'user_version'))
  const owner = Number(readPragma(database, 'application_id'))
  if (owner !== (found > 0 ? APPLICATION_ID : 0))
    throw problem('store_failed', 'the state file belongs to another program', {
      hint: 'choose another --data-dir',
    })
  if (found > schemaVersion)
    throw problem(
      'store_failed',
      `the state was written by a newer version (schema ${found}, this one knows ${schemaVersion})`,
      {hint: 'install that version again, or restore a backup made before the upgrade'},
    )
  for (let version = found; version < schemaVersion; version++) {
    database.exec(`BEGIN IMMEDIATE; ${migrations[version]}; PRAGMA user_version = ${version + 1}; COMMIT`)
  }
}

const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''

/** Says what is wrong in words of ours: those of the system hold paths. */
function openingProblem(error: unknown): SallyportError | unknown {
  const code = codeOf(error)
  if (code.startsWith('SQLITE_BUSY') || code.startsWith('SQLITE_LOCKED'))
    return problem('already_running', 'another auth service is using this data directory', {
      hint: 'stop it first, or choose another --data-dir',
      cause: error,
    })
  return storeProblem(error, 'the state could not be opened')
}

/** An error of SQLite or the file system as store_failed; anything else as it is. */
export function storeProblem(error: unknown, what: string): SallyportError | unknown {
  const code = codeOf(error)
  if (!/^(SQLITE_|E[A-Z]+$)/.test(code)) return error
  const [, words = code] = reasons.find(([pattern]) => pattern.test(code)) ?? []
  return problem('store_failed', `${what}: ${words}`, {cause: error})
}

const reasons: readonly (readonly [RegExp, string])[] = [
  [/^(SQLITE_FULL|ENOSPC|EDQUOT)/, 'the disk is full'],
  [/^(SQLITE_NOTADB|SQLITE_CORRUPT)/, 'the state file is damaged'],
  [/^(SQLITE_READONLY|EROFS)/, 'the data directory is read-only'],
  [/^(SQLITE_CANTOPEN|SQLITE_PERM|SQLITE_AUTH|EACCES|EPERM)/, 'permission denied'],
  [/^SQLITE_IOERR/, 'reading or writing the disk failed'],
]
