// Recordings: asciicast lines in chained gzip members; docs/recording-format.md has the `format`. `write` makes them, `store`
// keeps them, `read` and `export` give them back, `evidence` says whether they are what was recorded, `screen` reads what
// people saw, and `search` finds it.

export {signRecordingHead, verifyRecordingHead} from './evidence/signature.js'
export {
  parseTombstone,
  type RemovalCause,
  type Tombstone,
  tombstoneFault,
  WHY_CHARACTERS,
} from './evidence/tombstone.js'
export {type RecordingVerdict, verifyRecording} from './evidence/verify.js'
export {
  againstLog,
  type SessionVerdict,
  tombstoneAgainstLog,
  type Vouched,
  vouchedBy,
} from './evidence/vouched.js'
export {cast3Lines, type SessionEnd} from './export/cast3.js'
export {castText, jsonRecords, rawBytes, textLines, untilDamage} from './export/export.js'
export {htmlPage} from './export/html.js'
export {readPlayerAssets} from './export/player-assets.js'
export type {OutputStream} from './format/asciicast.js'
export {parseIndex, type RecordingIndex} from './format/index-file.js'
export {isOfUser, requireSid} from './meta.js'
export {type CastEnd, endFault, type ReadState, readStored} from './read/contents.js'
export {type CsiSequence, createEscapeParser} from './read/escape.js'
export {readFileBytes} from './read/file-source.js'
export {type Cast, readCast} from './read/reader.js'
export {createSanitizer} from './read/sanitize.js'
export {playOnTerminal} from './read/terminal.js'
export type {RecordingSearchQuery} from './search/search.js'
export type {RecordingHit, RecordingSearchAnswer} from './search/types.js'
export {checkStore, type StoreFinding} from './store/check.js'
export type {CompletedRecording} from './store/complete.js'
export type {RecordingFilter, RecordingQuery} from './store/listing.js'
export type {PruneRequest} from './store/pruning.js'
export type {AnnounceRemoval, RemovalRequest} from './store/removal.js'
export {
  openRecordingStore,
  type RecordingStore,
  type RecordingStoreOptions,
} from './store/store.js'
export type {
  RecordingChunk,
  RecordingEnd,
  RecordingHold,
  RecordingMeta,
  RecordingSink,
  RecordingSummary,
} from './types.js'
export {createSpool, type Spool} from './write/spool.js'
export {createRecordingWriter, type RecordingWriter, type RecordingWriterOptions} from './write/writer.js'
