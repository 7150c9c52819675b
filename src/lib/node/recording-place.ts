import type {Ping} from '../auth/contract.js'

/** Who keeps the record of a session at a node; `off`: its events are written, its output is not. */
export type RecordingPlace = 'node' | 'off' | 'forwarder'

/**
 * Decides it by the cluster's mode, and by whether the peer of the connection has proven to be a forwarder of the
 * cluster. Pure. Where the proxy is to record, whoever comes another way is recorded here: nobody gets round a recording
 * by leaving the proxy out.
 */
export function recordingPlace(mode: Ping['recording'], fromForwarder: boolean): RecordingPlace {
  switch (mode) {
    case 'off':
      return 'off'
    case 'proxy':
    case 'proxy-sync':
      return fromForwarder ? 'forwarder' : 'node'
    default:
      return 'node'
  }
}
