// Whether the audit log and the recordings are what the cluster wrote: reads a data directory, or a copy of one elsewhere, and
// holds the store against the log. Starts nothing; no service need be running.
export {type AuditFilesVerdict, verifyAuditFiles} from './audit-verification.js'
export {auditWords, checkpointWords, headWords, unseenSessions} from './audit-words.js'
export type {BadRecording} from './store-judgement.js'
export {
  type SessionFilesVerdict,
  type StoreFilesVerdict,
  verifySessionFiles,
  verifyStoreFiles,
} from './store-verification.js'
