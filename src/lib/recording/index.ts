// Recordings: asciicast lines in chained gzip members. `writer` makes them, `store` keeps them, `reader` and `player`
// give them back, `verify` says whether they are what was recorded. The format: docs/recording-format.md.
export type {OutputStream} from './asciicast.js'
export type {CompletedRecording} from './complete.js'
export {type CsiSequence, createEscapeParser} from './escape.js'
export {jsonRecords, rawBytes, textLines} from './export.js'
export {cast3Lines, type SessionEnd} from './export-cast3.js'
export {htmlPage} from './export-html.js'
export {readFileBytes} from './file-source.js'
export {parseIndex, type RecordingIndex} from './index-file.js'
export type {RecordingFilter, RecordingQuery} from './listing.js'
export {isSid, requireSid} from './meta.js'
export {readPlayerAssets} from './player-assets.js'
export type {PruneRequest} from './pruning.js'
export {type Cast, type CastEnd, readCast, readContents} from './reader.js'
export type {RemovalRequest} from './removal.js'
export {createSanitizer} from './sanitize.js'
export type {RecordingSearchQuery} from './search.js'
export type {RecordingHit, RecordingSearchAnswer} from './search-types.js'
export {signRecordingHead, verifyRecordingHead} from './signature.js'
export {createSpool, type Spool} from './spool.js'
export {
  openRecordingStore,
  type RecordingStore,
  type RecordingStoreOptions,
} from './store.js'
export {checkStore, type StoreFinding} from './store-check.js'
export {playOnTerminal} from './terminal.js'
export {
  parseTombstone,
  type RemovalCause,
  type Tombstone,
  tombstoneFault,
  WHY_CHARACTERS,
} from './tombstone.js'
export type {
  RecordingChunk,
  RecordingEnd,
  RecordingHold,
  RecordingMeta,
  RecordingSink,
  RecordingSummary,
} from './types.js'
export {type RecordingVerdict, verifyRecording} from './verify.js'
export {againstLog, tombstoneAgainstLog, type Vouched, vouchedBy} from './vouched.js'
export {createRecordingWriter, type RecordingWriter, type RecordingWriterOptions} from './writer.js'
