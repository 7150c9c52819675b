// What everything has in common that serves sessions: who may begin and go on, what of a session goes on record, and how
// its bytes pass. The forwarder and the node stand on it.
export {
  type AdmittedClient,
  acceptClient,
  admitClient,
  admitted,
  type DoorSettings,
  judgeLogin,
  requirePin,
} from './admit.js'
export {
  type ClientEnd,
  clientEnd,
  type ServedSessionParameters,
  type SessionHandle,
} from './client-end.js'
export {watchConnection} from './connection-watch.js'
export {drain} from './drain.js'
export {followState} from './follow.js'
export {
  checkForwarderProof,
  type ForwarderWord,
  forwarderProofRequest,
  forwarderWordMethod,
  makeForwarderProof,
  makeForwarderWord,
} from './forwarder-proof.js'
export {
  type ConnectionGuard,
  createGuard,
  guardedTarget,
} from './guard.js'
export {hostedRecord} from './hosted-record.js'
export {type SessionHub, startSessionHub} from './hub.js'
export {identityOf} from './identity.js'
export {
  askPermit,
  type JoinableHost,
  type JoiningClient,
  parseJoin,
  seatClient,
} from './joining.js'
export {explainOn, finishChannel} from './last-words.js'
export {type LockWatch, personOf, startLockWatch} from './lock-watch.js'
export {createNewcomers, type Newcomers} from './newcomers.js'
export {
  auditedPort,
  channelAddress,
  listenAddress,
  portsNotPermitted,
  rejectOpen,
} from './port-requests.js'
export {createSessionRecord, type SessionFacts, type SessionRecord, type SessionStart} from './record.js'
export {limitRefusals, type RefusalReporter} from './refusals.js'
export {joinChannels, relay} from './relay.js'
export {reporter} from './reporter.js'
export {type RequestQueue, requestQueue} from './request-queue.js'
export {
  mayPassEnvironment,
  readCommand,
  readExit,
  readPtyRequest,
  readWindowChange,
  type SessionExit,
  type TerminalSize,
} from './requests.js'
export {
  type ClientSessions,
  clientConnection,
  type ServedClient,
} from './served-client.js'
export {serverLabels} from './server-labels.js'
export {type HostSession, openHostSession, sessionIdQuery, tellSessionId} from './session-id.js'
export {type Address, type Ends, endsOf, listenAt} from './sockets.js'
export {maxTransferEvents, type TransferOptions, type TransferWatch, watchTransfer} from './transfers.js'
export type {Log, SessionAuth} from './types.js'
export {unseenTransfer} from './unseen.js'
export {trackWork} from './work.js'
