// Files that survive a crash: written beside their place, synced, renamed, and the directory synced too. Work that is
// tried until the disk takes it.
export {ensurePrivateDirectory, syncDirectory, writeFileAtomic} from './atomic-file.js'
export {createRetries, type Retries, type RetriesOptions} from './retries.js'
export {systemErrorWords} from './system-error.js'
