// Files that survive a crash: written beside their place, synced, renamed, and the directory synced too. Work that is
// tried until the disk takes it, files that are read no further than
// they may be long, and what the operating system's errors mean.
export {ensurePrivateDirectory, syncDirectory, writeFileAtomic} from './atomic-file.js'
export {createRetries, type Retries, type RetriesOptions} from './retries.js'
export {readSmallBytes, readSmallFile, type SmallFileOptions} from './small-file.js'
export {
  errnoOf,
  ifMissing,
  isExhausted,
  isForbidden,
  isFull,
  isMissing,
  mayPassByItself,
  systemErrorWords,
} from './system-error.js'
