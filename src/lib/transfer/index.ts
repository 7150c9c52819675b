// Follows file transfers as they pass: SFTP and scp, both directions, by their bytes alone. It watches and never alters,
// keeps no content, and says so when it can follow no longer. Pure: no sockets, no disk.
export {type TransferCommand, transferCommand} from './command.js'
export {watchScp} from './scp.js'
export {watchSftp} from './sftp.js'
export type {
  Direction,
  FileReport,
  Operation,
  OperationReport,
  PathName,
  TransferParser,
  TransferReports,
} from './types.js'
