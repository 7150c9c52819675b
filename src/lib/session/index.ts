// What everything has in common that serves sessions: who may begin and go on, what of a session goes on record, and how
// its bytes pass. The forwarder and the node stand on it.

export {
  type ClientEnd,
  clientEnd,
  type ServedSessionParameters,
  type SessionHandle,
} from './channel/client-end.js'
export {
  auditedPort,
  channelAddress,
  listenAddress,
  portsNotPermitted,
  rejectOpen,
} from './channel/port-requests.js'
export {joinChannels, relay} from './channel/relay.js'
export {type RequestQueue, requestQueue} from './channel/request-queue.js'
export {
  mayPassEnvironment,
  readCommand,
  readExit,
  readPtyRequest,
  readWindowChange,
  type SessionExit,
  type TerminalSize,
} from './channel/requests.js'
export {
  createSessionSlots,
  isTooMany,
  rejectedFor,
  tooManySessions,
} from './channel/session-slots.js'
export {unseenTransfer} from './channel/unseen.js'
export {trackWork} from './channel/work.js'
export {
  type AdmittedClient,
  acceptClient,
  admitClient,
  admitted,
  type DoorSettings,
  judgeLogin,
  requirePin,
} from './door/admit.js'
export {drain, shuttingDown} from './door/drain.js'
export {
  checkForwarderProof,
  type ForwarderWord,
  forwarderProofRequest,
  forwarderWordMethod,
  makeForwarderProof,
  makeForwarderWord,
} from './door/forwarder-proof.js'
export {identityOf} from './door/identity.js'
export {explainOn, finishChannel} from './door/last-words.js'
export {farewellMilliseconds, graceMilliseconds} from './door/limits.js'
export {createNewcomers, type Newcomers} from './door/newcomers.js'
export {limitRefusals, type RefusalReporter} from './door/refusals.js'
export {
  type ClientSessions,
  clientConnection,
  type ServedClient,
} from './door/served-client.js'
export {type Ends, endsOf, listenAt} from './door/sockets.js'
export {type KeptRecord, keepRecord} from './kept-record.js'
export type {SessionFacts} from './record.js'
export {reporter, sessionWarner} from './reporter.js'
export {serverLabels} from './server-labels.js'
export {type HostSession, openHostSession, sessionIdQuery, tellSessionId} from './session-id.js'
export {type SessionHub, startSessionHub} from './sharing/hub.js'
export {
  askPermit,
  type JoinableHost,
  type JoiningClient,
  parseJoin,
  seatClient,
} from './sharing/joining.js'
export {watchHere} from './sharing/local-watch.js'
export type {Log, SessionAuth} from './types.js'
export {watchConnection} from './watch/connection-watch.js'
export {followState} from './watch/follow.js'
export {
  type ConnectionGuard,
  createGuard,
  guardedTarget,
} from './watch/guard.js'
export {type LockWatch, personOf, startLockWatch} from './watch/lock-watch.js'
