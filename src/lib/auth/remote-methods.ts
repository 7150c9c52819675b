import type {AuthApi} from './contract.js'

/**
 * Methods that can be called from outside the process. System methods are absent: roles in one process call the
 * service itself.
 */
export const remoteMethods = [
  'ping',
  'exportAuthorities',
  'createUser',
  'updateUser',
  'listUsers',
  'removeUser',
  'resetUser',
  'unlockUser',
  'listAuthorities',
  'signHost',
  'signUser',
  'listEvents',
  'listRecordings',
  'openRecording',
] as const satisfies readonly (keyof AuthApi)[]

export type RemoteMethod = (typeof remoteMethods)[number]

/** The part of the API that reaches across a connection. */
export type RemoteAuthApi = Pick<AuthApi, RemoteMethod>

/** The summary of a recording travels beside its bytes, in this response header, as base64 of JSON. */
export const summaryHeader = 'x-sallyport-recording'

export const isRemoteMethod = (method: string): method is RemoteMethod =>
  (remoteMethods as readonly string[]).includes(method)
