// Recordings: asciicast lines in chained gzip members. `writer` makes them, `store` keeps them, `reader` and `player`
// give them back, `verify` says whether they are what was recorded. The format: docs/recording-format.md.
export type {OutputStream} from './asciicast.js'
export {isSid} from './meta.js'
export {signRecordingHead, verifyRecordingHead} from './signature.js'
export {
  openRecordingStore,
  type RecordingQuery,
  type RecordingStore,
  type RecordingStoreOptions,
} from './store.js'
export type {
  RecordingChunk,
  RecordingEnd,
  RecordingMeta,
  RecordingSink,
  RecordingSummary,
} from './types.js'
export {createRecordingWriter, type RecordingWriter, type RecordingWriterOptions} from './writer.js'
