// State of the auth service: a key–value map with revisions, conditions and expiry. `sqlite` keeps it in one file.
export {openSqliteBackend, type SqliteOptions} from './sqlite.js'
export type {Backend, BackendEvent, Item, Lifetime, RangeOptions, Write} from './types.js'
