// The audit log: what happened, as a chain of records that shows any change. Its format: docs/audit-log.md.
export {
  type AuditCheckpoint,
  makeCheckpoint,
  parseCheckpoint,
  verifyCheckpoint,
} from './checkpoint.js'
export {closingEvents} from './closing.js'
export {
  type AuditEvent,
  type AuditInput,
  type AuditQuery,
  type AuditSink,
  type EventName,
  eventCodes,
} from './event.js'
export type {ChainHead} from './head.js'
export type {HeadGap, SignedHeads} from './head-check.js'
export {type AuditLog, type AuditLogOptions, type HeadSigning, openAuditLog} from './log.js'
export {lostTransfer, maxNotedFiles, transferNumber} from './lost-transfer.js'
export {type AuditScan, scanLog} from './query.js'
export {type AuditVerdict, type BadRecord, verifyAuditLog} from './verify.js'
