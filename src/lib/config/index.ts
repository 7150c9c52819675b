// The configuration file, the flags of `start` and the defaults → one typed Config. Errors say file:line:col.
export {checkDocument, complaints, knownKeys, type LocatedDocument, readDocuments} from './document.js'
export {type LoadedFile, parseConfig} from './load.js'
export {findDataDir, loadConfig} from './read.js'
export {
  defaultDataDir,
  parseRoles,
  resolveConfig,
  type StartFlags,
  type Surroundings,
} from './resolve.js'
export {sampleConfig} from './sample.js'
export {type FileConfig, fileSchema, ports} from './schema.js'
export type {
  AuthConfig,
  CommandLabel,
  Config,
  NodeConfig,
  ProxyConfig,
  Role,
  SessionRecording,
  Severity,
} from './types.js'
export {
  choice,
  duration,
  formatDuration,
  parseAddress,
  parseDuration,
  refusing,
  textWithout,
  yesNo,
} from './values.js'
