// What a user's machine keeps and does: `login` gets certificates, `identity` keeps them, `ssh` connects with them, `api` asks
// the auth service with them, `enrol` makes a machine a host; `resources` and `history` are what commands show and send.
export {formatProxyAddress, type ProxyAddress, parseProxyAddress} from './address.js'
export {withAdminApi, withAuthApi} from './api/auth-access.js'
export {clusterLines, clusterStatus, machineLines, machineStatus} from './api/machine-status.js'
export {webApi} from './api/web-api.js'
export {type ClientContext, clientContext} from './context.js'
export {enrolHost, planEnrolment} from './enrol/enrol-host.js'
export {enrolWithToken} from './enrol/enrol-with-token.js'
export {allEvents, type EventFlags, eventQuery, followEvents} from './history/audit-events.js'
export {exportRecording} from './history/export-recording.js'
export {holdView, recordingView} from './history/recording-view.js'
export {type TimeRangeFlags, timeRange} from './history/time-range.js'
export {sessionFault, sessionWords, storeFault, storeWords} from './history/verdict-text.js'
export {requireEffect, type VerifyFlags, type VerifyTarget} from './history/verify-flags.js'
export {verifyCopiedSession, verifyFile, verifyKeptSession, verifyStore} from './history/verify-recordings.js'
export {clientHome} from './home.js'
export {assertAbsent} from './identity/credential-files.js'
export {type Identity, type IdentityOptions, loadIdentity} from './identity/identity.js'
export {
  type IdentityFormat,
  identityFiles,
  type StoredIdentity,
  writeIdentity,
} from './identity/identity-file.js'
export {type IdentityFlags, identityOptions} from './identity/identity-flags.js'
export {readKeyFile} from './identity/key-file.js'
export {findProfile, listProfiles, type Profile, profilePaths} from './identity/profile.js'
export {type SignOptions, signHost, signUser} from './identity/sign.js'
export {inviteLines} from './login/invite-lines.js'
export {parseInviteUrl} from './login/invite-url.js'
export {keepLogin, logIn, loginCommand} from './login/login.js'
export {logOut} from './login/logout.js'
export {loginStatus, statusLines} from './login/status.js'
export {ownLogin} from './own-login.js'
export {listClusters} from './resources/clusters.js'
export {editText} from './resources/edit-text.js'
export {findHosts, labelText, registeredHosts} from './resources/hosts.js'
export {joinRoles, startLine, tokenLines, tokenRoles} from './resources/join-token.js'
export {removed} from './resources/removed.js'
export {parseNodeText, parseRoleText, readResourceFile} from './resources/resource-files.js'
export {parseResourceName} from './resources/resource-name.js'
export {
  authorityView,
  createdTokenView,
  enrolPathsView,
  explanationView,
  inviteView,
  lockView,
  remoteClusterView,
  tokenView,
  userView,
} from './resources/views.js'
export {escapeFilter, escapeHelp} from './ssh/escape-filter.js'
export {readForwardings} from './ssh/forwarding.js'
export {withJoinedSession} from './ssh/join.js'
export {withWatchedSession} from './ssh/local-watch.js'
export {carryConnection, connectToProxy} from './ssh/proxy-connection.js'
export {runSsh} from './ssh/run-ssh.js'
export {selfCommand} from './ssh/self-command.js'
export {currentSession, sessionLines} from './ssh/session-status.js'
export {sshConfig} from './ssh/ssh-config.js'
export {parseLabelTarget, parseSshTarget} from './ssh/ssh-target.js'
export {openTerminal, type RawTerminal, type TerminalSize} from './ssh/terminal.js'
export {durationSeconds, list, minutesOrDuration, sessionId} from './values.js'
