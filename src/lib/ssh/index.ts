// SSH connections that carry certificates, on ssh2's transport layer. The only room that knows ssh2.
// client.ts and server.ts make connections; connection.ts and channel.ts are what travels over them (RFC 4251–4254).
export type {AlgorithmChoice} from './algorithms.js'
export {supportedCiphers, supportedKex, supportedMacs} from './algorithms.js'
export type {Credential, Question} from './auth-client.js'
export type {AcceptedUser, CertificateJudge, Introductions} from './auth-server.js'
export {Channel, type ChannelRequest} from './channel.js'
export {type ChannelOpen, ChannelRefused} from './channel-opens.js'
export {type ConnectOptions, connect} from './client.js'
export type {SshConnection} from './connection.js'
export type {GlobalAnswer, GlobalRequest} from './global-requests.js'
export type {HostIdentity, PresentedHostKey} from './host-keys.js'
export {
  type HostKeyStore,
  type HostKeys,
  type KeptIdentity,
  keptIdentities,
  pemOf,
} from './kept-host-keys.js'
export {borrow, writeLent} from './lending.js'
export {openFailure} from './messages.js'
export {peerText} from './peer-text.js'
export type {RekeyLimits} from './rekey-policy.js'
export type {SecondFactor} from './second-factor.js'
export {type HostKeyReader, readHostKey} from './seen-host-key.js'
export {type AcceptedConnection, type AcceptOptions, acceptConnection} from './server.js'
export {nativeCiphersAvailable} from './ssh2-protocol.js'
