// Files that survive a crash: written beside their place, synced, renamed, and the directory synced too.
export {ensurePrivateDirectory, syncDirectory, writeFileAtomic} from './atomic-file.js'
export {systemErrorWords} from './system-error.js'
